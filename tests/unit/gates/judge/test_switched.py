"""A switch that did not happen passes nobody, and what is still starting is given its time."""

import pytest

from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence, Observation
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.fakes.monitoring import MIDNIGHT


def judged(candidate: float, baseline: float | None, *, whole: bool = True) -> tuple[Verdict | None, Reason]:
    """Ten minutes of so many good requests a look, at the end of the time that the gate has."""
    timing = Timing(interval=5, initial_delay=30, minimum=60, maximum=600)
    judge = Judge(Rules((ErrorRate(),), timing=timing, whole=whole))
    for _ in range(126):
        other = None if baseline is None else Counts(baseline, 0)
        standing = judge.step(Evidence(MIDNIGHT, 5.0, Counts(candidate, 0), other))
        if standing.verdict is not None:
            break
    return standing.verdict, standing.reason


@pytest.mark.parametrize(
    ("candidate", "baseline", "whole", "verdict"),
    [
        (25, 300, True, Verdict.INCONCLUSIVE),
        (25, 300, False, Verdict.PASS),
        (300, 6, True, Verdict.PASS),
        (26, 25, True, Verdict.PASS),
        (25, None, True, Verdict.PASS),
    ],
    ids=["only health checks", "a canary", "switched", "health checks of both at night", "no baseline is named"],
)
def test_a_switch_that_did_not_happen_passes_nobody(
    candidate: float, baseline: float | None, *, whole: bool, verdict: Verdict
) -> None:
    """A version that is asked by nothing but health checks proves nothing about what users will see."""
    found, reason = judged(candidate, baseline, whole=whole)
    assert found is verdict
    assert (reason is Reason.NOT_SWITCHED) == (verdict is Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("answers", "verdict", "looks"),
    [
        ([False] * 6 + [True], Verdict.PASS, 7),
        ([False] * 30, Verdict.FAIL, 27),
        ([True, False, False, False], Verdict.PASS, 1),
    ],
    ids=["starts for 12 s", "never starts", "at once"],
)
def test_what_may_still_be_starting_has_its_time(answers: list[bool], verdict: Verdict, looks: int) -> None:
    """Its noes count from the end of it on, or from its first yes."""
    rule = Checks(name="smoke", group="ready", failures=3, startup=50.0)
    judge = Judge(Rules((rule,), timing=Timing(interval=2, initial_delay=0, minimum=0, maximum=60)))
    for taken, ok in enumerate(answers, 1):
        standing = judge.step(Evidence(MIDNIGHT, 2.0, observations=(Observation("smoke", ok),)))
        if standing.verdict is not None:
            assert (standing.verdict, taken) == (verdict, looks)
            return
    raise AssertionError("it came to no verdict")


def test_what_has_started_fails_as_before() -> None:
    """A yes ends the patience: three noes in a row after it decide."""
    judge = Judge(Rules((ErrorRate(), Checks(name="smoke", group="ready", failures=3, startup=500.0))))
    for ok in (False, False, True, False, False, False):
        standing = judge.step(Evidence(MIDNIGHT, 60.0, Counts(10, 0), observations=(Observation("smoke", ok),)))
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.OBSERVATION_FAILED)


def test_signs_of_harm_are_told_beside_what_a_gate_waits_for() -> None:
    """Errors that do not yet prove harm stand beside the switch that did not happen, which alone would mislead."""
    judge = Judge(Rules((ErrorRate(limit=0.05),), timing=Timing(interval=5, initial_delay=0), whole=True))
    told = [judge.step(Evidence(MIDNIGHT, 5.0, Counts(20, 3), Counts(200, 2))) for _ in range(12)]
    waiting = [standing.sentence for standing in told if standing.reason is Reason.NOT_SWITCHED]
    first = "The baseline has most of the requests: the traffic is not with the candidate."
    assert waiting[-1] == f"{first} There are signs of harm: error_rate."


NOBODY = "The candidate had traffic and has lost it, which is no sign of health. None comes to the baseline either: "


@pytest.mark.parametrize(
    ("silent", "reason", "says"),
    [
        ((Counts(0, 0), Counts(0, 0)), Reason.TRAFFIC_LOST, f"{NOBODY}nobody has any requests."),
        ((None, None), Reason.TELEMETRY_LOST, "The candidate's numbers have stopped coming"),
        ((None, Counts(100, 0)), Reason.NOT_SWITCHED, "The baseline has most of the requests"),
    ],
    ids=["nobody is asked", "nothing is counted", "the baseline alone is counted"],
)
def test_where_nobody_has_requests_the_baseline_does_not_have_most_of_them(
    silent: tuple[Counts | None, Counts | None], reason: Reason, says: str
) -> None:
    """A proxy that was stopped just after the switch: the last that was seen of the baseline is over."""
    timing = Timing(interval=5, initial_delay=0, minimum=60, maximum=120)
    judge = Judge(Rules((ErrorRate(),), timing=timing, whole=True))
    for _ in range(4):
        seen = judge.step(Evidence(MIDNIGHT, 5.0, Counts(20, 0), Counts(100, 0)))
    assert seen.reason is Reason.NOT_SWITCHED
    looks = (judge.step(Evidence(MIDNIGHT, 5.0, *silent)) for _ in range(60))
    seen = next(standing for standing in looks if standing.verdict is not None)
    assert (seen.verdict, seen.reason) == (Verdict.INCONCLUSIVE, reason)
    assert seen.sentence.startswith(says)
