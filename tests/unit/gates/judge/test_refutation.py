"""Bursts that are over are worth nothing; harm that goes on keeps what it has said."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.refutation import Onset, Refutation
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import interval
from tests.unit.gates.judge.rules import BY_ERRORS

QUIET = [interval(baseline=(7500, 7.5), seconds=30) for _ in range(360)]
RULES = Rules(BY_ERRORS, timing=Timing(interval=5, minimum=1800, maximum=1800))


def gained(counts: Sequence[tuple[float, float, float]]) -> float:
    """What one bet is credited with over reports of (ln e, requests, bad)."""
    refutation = Refutation(1, 9)
    return sum(refutation.step([log_e], requests, bad)[0] for log_e, requests, bad in counts)


def test_a_burst_that_is_over_is_taken_back() -> None:
    """Two reports with 10 of 250 requests failed, then none: nothing is left of them, and calm reports count."""
    assert gained([(1.5, 250, 10)] * 2 + [(-0.1, 250, 0)] * 3) == pytest.approx(-0.3)


def test_many_bursts_do_not_add_up() -> None:
    """Twenty bursts, each over before the next, say no more than their calm reports do."""
    assert gained(([(1.5, 250, 10)] * 2 + [(-0.1, 250, 0)] * 3) * 20) == pytest.approx(-6.0)


def test_a_longer_blip_takes_bursts_back_as_well() -> None:
    """Where a report may say less, a run of bad ones is strong sooner: else its bursts would add up."""
    refutation = Refutation(1, 9)
    reports = [(0.6, 250, 10)] * 2 + [(-0.1, 250, 0)] * 3
    assert sum(refutation.step([e], n, x, 0.6)[0] for e, n, x in reports * 20) == pytest.approx(-6.0)


def test_what_began_late_is_taken_back_for_less() -> None:
    """One capped report of a late burst is enough to be refuted: at twice the blip many would add up."""
    refutation = Refutation(1, 9)
    reports = [(0.9, 250, 10, True), (-0.1, 250, 0, False), (-0.1, 250, 0, False)]
    assert sum(refutation.step([e], n, x, 0.92, late=late)[0] for e, n, x, late in reports * 20) == pytest.approx(-4.0)


def late(reports: Sequence[tuple[float, float, bool]]) -> list[bool]:
    """Which reports of (requests, bad, whether they are bad) belong to a run that began late."""
    onset = Onset()
    return [onset.step(requests, bad, worse=worse) for requests, bad, worse in reports]


def test_trouble_after_a_calm_began_late() -> None:
    """Six calm reports had no error, where thirty were due at the rate of the next two."""
    assert late([(250, 0, False)] * 6 + [(250, 5, True)] * 2) == [False] * 6 + [True] * 2


@pytest.mark.parametrize("calm", [[], [(250, 0, False)], [(250, 4, False)] * 6])
def test_what_may_be_there_since_the_switch_is_not_late(calm: list[tuple[float, float, bool]]) -> None:
    """There was no calm, too little of it to tell, or one with more than half of the errors that are due."""
    assert not any(late([*calm, *[(250, 5, True)] * 2, *[(250, 12, True)] * 2][: len(calm) + 2]))


def test_luck_of_few_requests_is_not_late_where_it_has_to_be_sure() -> None:
    """Two of a hundred requests, then five of twenty: 5 % from the switch on looks like that in some rollouts. Where
    there are more of both, as in a spell of a busy service, the same rates are surely two."""
    for times, sure in [(1, False), (10, True)]:
        onset = Onset()
        onset.step(100 * times, 2 * times, worse=False)
        assert onset.step(20 * times, 5 * times, worse=True, sure=8.0) is sure
        onset = Onset()
        onset.step(100 * times, 2 * times, worse=False)
        assert onset.step(20 * times, 5 * times, worse=True) is True


def test_faint_harm_is_not_late() -> None:
    """It has calm reports too, beside which its bad ones do not stand out."""
    assert not any(late([(250, 12, True), (250, 5, False), (250, 6, False)] * 10))
    assert not any(late([(25, 0, False)] * 9 + [(25, 3, True)]))


@pytest.mark.parametrize("after", [(-0.1, 250, 7), (-0.1, 20, 0), (0.4, 250, 10)])
def test_what_does_not_refute_takes_nothing_back(after: tuple[float, float, float]) -> None:
    """Neither nearly as many errors as before, nor too few requests to tell, nor more of the same."""
    assert gained([(1.5, 250, 10)] * 2 + [after]) == pytest.approx(3 + after[0])


def test_luck_is_not_a_burst() -> None:
    """Where harm is faint good reports alternate with bad ones, and nothing is taken back."""
    assert gained([(0.4, 250, 10), (-0.2, 250, 2)] * 4) == pytest.approx(0.8)


def test_what_lasts_is_no_burst() -> None:
    """After more reports than a burst has, what was said stays."""
    assert gained([(1.0, 250, 10)] * 10 + [(-0.1, 250, 0)] * 3) == pytest.approx(10 - 0.3)


def bursts(starts: tuple[int, ...], length: int = 3) -> list[int]:
    """The candidate's errors of each report, for 60 reports."""
    return [10 if any(start <= k < start + length for start in starts) else 0 for k in range(60)]


@pytest.mark.parametrize("starts", [(8,), (8, 20), (8, 20, 32)])
def test_bursts_after_a_quiet_past_do_not_roll_back(starts: tuple[int, ...]) -> None:
    """10 s of 4 % errors, which the past has never shown, decide neither once nor twice nor three times."""
    judge = Judge(RULES, QUIET)
    for bad in bursts(starts):
        judge.take(interval((250, bad), (250, 0), seconds=5))
        assert judge.decision[0] is not Verdict.FAIL


@pytest.mark.parametrize("before", [6, 20, 60])
def test_two_bursts_in_a_row_do_not_decide_after_a_calm(before: int) -> None:
    """20 s of 4 % errors that begin when the candidate has settled, or later; the calm of the initial delay counts."""
    judge = Judge(RULES, QUIET)
    for report in range(90):
        bad = 10 if before <= report < before + 5 else 0
        judge.take(interval((250, bad), (250, 0), seconds=5))
        assert judge.decision[0] is not Verdict.FAIL


def test_late_harm_is_seen() -> None:
    """4 % that begin after five minutes are harm 50 s later, the 20 s of two bursts and what a late onset costs."""
    judge = Judge(RULES, QUIET)
    for report in range(70):
        judge.take(interval((250, 10 if report >= 60 else 0), (250, 0), seconds=5))
    assert judge.decision[0] is Verdict.FAIL


def test_the_same_errors_without_a_pause_do() -> None:
    """4 % that stay are harm within half a minute of the settle time."""
    judge = Judge(RULES, QUIET)
    for _ in range(12):
        judge.take(interval((250, 10), (250, 0), seconds=5))
    assert judge.decision[0] is Verdict.FAIL


@given(st.lists(st.tuples(st.floats(-3, 1.5), st.integers(0, 300), st.floats(0, 1)), max_size=40))
def test_nothing_is_added(reports: list[tuple[float, int, float]]) -> None:
    """At no time is more credited than was said since any report before it, so that E expects at most 1 as before."""
    refutation, more = Refutation(1, 9), 0.0
    for log_e, requests, share in reports:
        credited = refutation.step([log_e], requests, share * requests)[0]
        more = max(more, credited - log_e)
    assert more <= 0
