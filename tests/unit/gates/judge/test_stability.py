"""A candidate that dies and starts again is not safe, whatever the numbers say that it left behind."""

import pytest

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence, Lives
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.fakes.monitoring import MIDNIGHT

_TIMING = Timing(interval=5, initial_delay=30, minimum=60, maximum=600)


def judged(lives: dict[int, Lives], baseline: dict[int, Lives] | None = None) -> tuple[Verdict | None, Reason, int]:
    """A gate of good requests in whose looks, by their number, processes fared so."""
    judge = Judge(Rules((ErrorRate(),), timing=_TIMING))
    for number in range(1, 160):
        theirs = (baseline or {}).get(number, Lives())
        evidence = Evidence(MIDNIGHT, 5.0, Counts(300, 0), lives=lives.get(number, Lives()), baseline_lives=theirs)
        standing = judge.step(evidence)
        if standing.verdict is not None:
            break
    return standing.verdict, standing.reason, number


ONCE, AGAIN = Lives(restarts=1), Lives(restarts=1, repeated=1)


@pytest.mark.parametrize(
    ("lives", "verdict", "reason", "looks"),
    [
        ({}, Verdict.PASS, Reason.PROVEN_SAFE, 18),
        ({2: ONCE, 4: AGAIN, 5: AGAIN}, Verdict.PASS, Reason.PROVEN_SAFE, 18),
        ({8: ONCE}, Verdict.PASS, Reason.PROVEN_SAFE, 20),
        ({8: ONCE, 10: AGAIN, 12: AGAIN}, Verdict.INCONCLUSIVE, Reason.CRASH_LOOPING, 12),
        ({16: Lives(restarts=20)}, Verdict.PASS, Reason.PROVEN_SAFE, 28),
        ({n: Lives(down=1) for n in range(1, 160)}, Verdict.INCONCLUSIVE, Reason.UNREACHABLE, 138),
        ({n: Lives(down=1) for n in range(1, 25)}, Verdict.PASS, Reason.PROVEN_SAFE, 25),
    ],
    ids=["steady", "while settling", "once", "a crash loop", "each of a fleet once", "one is dead", "one came late"],
)
def test_what_dies_again_and_again_passes_nobody(
    lives: dict[int, Lives], verdict: Verdict, reason: Reason, looks: int
) -> None:
    """One restart waits for a minute of quiet; several of one process decide; a fleet's own are one each."""
    assert judged(lives) == (verdict, reason, looks)


def test_a_crash_loop_of_both_versions_is_not_this_release() -> None:
    """A dependency that kills everybody must not put the traffic back to a version that dies as well."""
    loop = dict.fromkeys(range(8, 150), AGAIN)
    assert judged(loop, loop)[:2] == (Verdict.INCONCLUSIVE, Reason.BASELINE_ALREADY_BAD)


def test_restarts_are_told_with_the_verdict() -> None:
    """Also where it is a pass."""
    judge = Judge(Rules((ErrorRate(),), timing=_TIMING))
    for number in range(1, 40):
        standing = judge.step(Evidence(MIDNIGHT, 5.0, Counts(300, 0), lives=ONCE if number == 8 else Lives()))
        if standing.verdict is not None:
            break
    assert standing.verdict is Verdict.PASS
    assert "began anew once" in standing.sentence
