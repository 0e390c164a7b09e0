"""A time in which nobody looked, such as a restart of the daemon: its numbers come as one report."""

import pytest

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
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
