"""A time in which nobody looked, such as a restart of the daemon: its numbers come as one report."""

import pytest

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.gates.judge.evidence import interval, until_verdict

TIMING = Timing(interval=5.0, initial_delay=5.0, minimum=30.0, maximum=60.0)
LIMIT = (ErrorRate(limit=0.05),)


def looks(rate: float, *seconds: float) -> list[Evidence]:
    return [interval((47 * each, 47 * each * rate), seconds=each) for each in seconds]


@pytest.mark.parametrize("away", [21, 30, 50, 90, 600])
def test_it_is_none_of_the_time_that_a_verdict_gets(away: float) -> None:
    """Of 29 % errors against a limit of 5 % the one report proves nothing alone; the next ones do."""
    standing = until_verdict(Judge(Rules(LIMIT, timing=TIMING)), looks(0.293, 5, 5, away, *[5] * 12))
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 10 + away + 15


@pytest.mark.parametrize("away", [30, 600])
def test_a_version_that_is_just_bad_enough_has_its_whole_time(away: float) -> None:
    """And one that is never decided ends when its own time is up."""
    judge = Judge(Rules(LIMIT, timing=TIMING))
    standing = until_verdict(judge, looks(0.05, 5, 5, away, *[5] * 60))
    assert standing.verdict is Verdict.INCONCLUSIVE
    assert standing.elapsed_seconds - (away - 20) == pytest.approx(65, abs=5)


def test_reports_that_are_always_far_apart_are_the_usual_ones() -> None:
    """Such as those of a source that answers slowly: the gate does not go on for longer."""
    judge = Judge(Rules(LIMIT, timing=TIMING))
    until_verdict(judge, looks(0.05, *[15] * 10))
    assert judge.unseen_seconds == 0


@pytest.mark.parametrize("away", [30, 90, 600])
@pytest.mark.parametrize(
    ("after", "verdict", "reason"),
    [
        ((47, 0), Verdict.PASS, Reason.PROVEN_SAFE),
        ((0, 47), Verdict.INCONCLUSIVE, Reason.NOT_SWITCHED),
        ((2, 47), Verdict.INCONCLUSIVE, Reason.NOT_SWITCHED),
    ],
    ids=["the candidate", "the baseline", "the baseline, beside health checks"],
)
def test_who_has_the_traffic_is_seen_anew_after_it(
    away: float, after: tuple[float, float], verdict: Verdict, reason: Reason
) -> None:
    """Enough was seen before for a pass, and in the meantime somebody may have put the old version back."""
    judge = Judge(Rules((ErrorRate(limit=0.05),), timing=TIMING, whole=True))
    for _ in range(6):
        assert judge.step(Evidence(MIDNIGHT, 5.0, Counts(1000, 0), Counts(0, 0))).verdict is None
    first = judge.step(Evidence(MIDNIGHT, away, Counts(160 * away, 0), Counts(30 * away, 0)))
    assert (first.verdict, first.reason) == (None, Reason.UNWATCHED)
    late = [judge.step(Evidence(MIDNIGHT, 5.0, Counts(20 * after[0], 0), Counts(20 * after[1], 0))) for _ in range(60)]
    decided = next(standing for standing in late if standing.verdict is not None)
    assert verdict is not Verdict.PASS or late.index(decided) >= 3
    assert (decided.verdict, decided.reason) == (verdict, reason)


def test_harm_that_was_proven_meanwhile_waits_for_nothing() -> None:
    judge = Judge(Rules(LIMIT, timing=TIMING))
    standing = until_verdict(judge, looks(0.9, 5, 5, 90, *[5] * 3))
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 105


def test_a_version_with_few_requests_is_watched_for_three_minutes_anew() -> None:
    """Ten requests take longer than that at its pace."""
    judge = Judge(Rules(LIMIT, timing=TIMING))
    seen = [interval((1000, 0), seconds=5.0)] * 6 + [interval((10, 0), seconds=300.0)]
    late = [interval((0.2, 0), seconds=5.0)] * 60
    standings = [judge.step(evidence) for evidence in (*seen, *late)]
    assert not any(each.verdict is Verdict.PASS for each in standings[: 7 + 35])
