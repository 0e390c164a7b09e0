"""What the judge makes of nothing, of too much, and of values that cannot be."""

from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from math import inf

import pytest

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Lives
from healthd_gates.domain.standing import Finding
from healthd_gates.judge.against_past import AgainstPast
from healthd_gates.judge.arms import (
    Reading,
    count_above,
    errors,
    perhaps_slower_than,
    quantile,
    slower_than,
    surely_slower_than,
)
from healthd_gates.judge.assumed import Assumed
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.exceedance import AboveBaseline
from healthd_gates.judge.follow import Follow, follows
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.joint_cap import UNCAPPED
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.mixtures import log_mean
from healthd_gates.judge.past import Past
from healthd_gates.judge.ramp import Pace, Ramp
from healthd_gates.judge.rate_tests import AboveBaselineRate
from healthd_gates.judge.risk import Risk, Timing
from healthd_gates.judge.rules import Against, Comparison, Rules
from healthd_gates.judge.simulated_traffic import Traffic
from healthd_gates.judge.simulation import forecast
from healthd_gates.judge.slowness import _spread
from healthd_gates.judge.stability import _Restarts
from healthd_gates.judge.streams import evidence_of
from healthd_gates.judge.tail_comparison import TailComparison
from tests.unit.gates.judge.evidence import EDGES, START, interval, slow_interval
from tests.unit.gates.judge.test_own_numbers import course, every, rate

FRAME = Frame(Risk(), Timing(interval=10.0, initial_delay=0.0))


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Risk(false_rollback=0.0), "false_rollback lies between 0 and 1"),
        (lambda: Risk(false_pass=1.0), "false_pass lies between 0 and 1"),
        (lambda: Timing(interval=inf), "interval must be positive"),
        (lambda: Timing(minimum=60.0, maximum=30.0), "need 0 ≤ minimum ≤ maximum"),
        (lambda: Timing(blip=-1.0), "must not be negative"),
        (lambda: Comparison(tolerated=2.0, harmful=2.0), "need 1 ≤ tolerated < harmful"),
        (lambda: Comparison(floor=1.0), "floor is a fraction below 1"),
        (lambda: Rules(()), "at least one criterion is needed"),
        (lambda: Rules((ErrorRate(), ErrorRate())), "criteria need different names"),
        (lambda: Rules((ErrorRate(critical=False),)), "at least one criterion must be critical"),
        (lambda: Pace(max_step=1.0), "max_step must be more than 1"),
        (lambda: Pace(steps=(0.5, 0.1)), "steps must ascend"),
        (lambda: forecast(Rules((ErrorRate(),)), Traffic(10.0, 0.0), runs=0), "runs must be at least 1"),
    ],
)
def test_values_that_cannot_be_are_refused(made: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        made()


@pytest.mark.parametrize("reading", [slower_than(0.3), surely_slower_than(0.3), perhaps_slower_than(0.3)])
def test_a_source_without_latency_counts_no_slow_requests(reading: Reading) -> None:
    assert reading(Counts(100, 0)) is None


def test_every_request_is_slower_than_nothing() -> None:
    histogram = Histogram(EDGES, (1, 2, 3, 4, 5, 6, 7))
    assert count_above(histogram, 0.0) == histogram.total


@pytest.mark.parametrize(
    ("counts", "level", "seconds"), [((0, 0, 4), 0.0, 0.2), ((0, 4, 0), 1.0, 0.2), ((0,) * 3, 0.5, None)]
)
def test_the_ends_of_a_quantile(counts: tuple[float, ...], level: float, seconds: float | None) -> None:
    """Those of the buckets that have requests."""
    assert quantile(Histogram((0.1, 0.2, inf), counts), level) == seconds


def test_the_slowest_request_is_found_though_fractions_do_not_add_up() -> None:
    """Python 3.12 and newer add a sum up more exactly than a loop does."""
    edges = (*(place / 10 for place in range(1, 11)), inf)
    assert quantile(Histogram(edges, (*[0.1] * 10, 0.0)), 1.0) == pytest.approx(1.0)


def test_nothing_proves_nothing() -> None:
    assert RateInterval().side(0.05, 0.01) == 0
    assert log_mean([-inf, -inf]) == -inf
    assert evidence_of(interval((10, 1)), None) == interval((10, 1))
    untold = AboveBaselineRate(1.25, FRAME)
    untold.step(None, None, 1.0, UNCAPPED)
    assert untold.uncompared


def test_a_criterion_that_is_assumed_to_hold_says_so() -> None:
    report = Assumed(ErrorRate()).build(FRAME, Past()).report(None)
    assert (report.finding, report.sentence) == (Finding.CLEAR, "error_rate is assumed to hold.")


def test_at_most_so_many_are_kept_evenly_spread() -> None:
    assert _spread([1.0, 2.0, 3.0, 4.0, 5.0], 3) == [1.0, 3.0, 5.0]


def test_old_restarts_make_no_crash_loop() -> None:
    restarts = _Restarts()
    restarts.step(10.0, Lives(restarts=3, repeated=2), counts=True)
    assert restarts.is_loop
    restarts.step(3600.0, Lives(), counts=True)
    assert not restarts.is_loop


def test_an_interval_without_numbers_lengthens_the_next() -> None:
    past = Past.of([interval(None, (100, 1)), interval(None, None), interval(None, (100, 1))])
    assert [seconds for _, seconds in past.before] == [10.0, 20.0]


def test_traffic_is_told_by_looks_that_saw_both_arms() -> None:
    ramp = Ramp([errors], FRAME.timing, 0.01)
    ramp.take(interval((100, 0), None))
    assert ramp.traffic == 0.0
    ramp.take(interval((100, 0), (200, 0)))
    assert ramp.traffic > 0


def test_a_past_without_numbers_bounds_no_rate() -> None:
    """Any rate may have been normal."""
    past = AgainstPast(((), 1.25), ((), 2.0), FRAME)
    past.step((1000.0, 1000.0), 1.0, inf)
    assert past.log_e_harm <= 0
    assert past.log_e_safe <= 0


def test_without_a_floor_only_the_comparison_proves_safety() -> None:
    test = AboveBaseline(Comparison(floor=0.0), FRAME, Past())
    assert test.looks_needed((100.0, 1.0), 1.0) == inf
    test.step((1000.0, 1.0), (1000.0, 50.0), 1000.0, UNCAPPED)
    assert test.looks_needed((1000.0, 1.0), 1000.0) < inf


@pytest.mark.parametrize("warm", [False, True])
def test_latency_without_a_past_is_compared_with_nothing(*, warm: bool) -> None:
    tail = TailComparison(0.5, Comparison(against=Against.HISTORY), FRAME, Past())
    tail.step(slow_interval((100, 0, 0, 5, 5, 0, 0)), warm, UNCAPPED, alike=True)
    assert (tail.compared, tail.log_e_harm, tail.log_e_safe) == (False, 0.0, 0.0)


def test_a_rate_that_the_baseline_breaks_too_is_not_this_releases_fault() -> None:
    crashes = rate(limit=0.5)
    judge = Judge(Rules((ErrorRate(), crashes), timing=FRAME.timing))
    found = [judge.step(evidence).criteria[1].finding for evidence in islice(course(crashes, every(1), every(40)), 3)]
    assert found[-1] is Finding.BASELINE_ALREADY_BAD


@pytest.mark.parametrize(
    ("weight", "requests", "follow"),
    [(0.01, 0, None), (0.5, 50, True), (0.5, 0, False), (0.5, 95, False), (1.0, 95, True), (1.0, 80, False)],
)
def test_traffic_follows_its_weight(weight: float, requests: float, *, follow: bool | None) -> None:
    """Of a hundred requests; of one it could not be told."""
    seen = Follow()
    for place in range(8):
        seen.take(interval((requests, 0), (100 - requests, 0), place=place))
    assert seen.since(START + timedelta(seconds=60)) == (requests, 100)
    assert seen.since(START) == (6 * requests, 600), "the newest looks"
    assert follows(weight, requests, 100) is follow


def test_a_look_follows_the_one_before_it_whatever_the_clocks_of_the_two_say() -> None:
    """The wall clock is read some microseconds after the steady one, and not always as many."""
    seen, done = Follow(), START + timedelta(seconds=5, microseconds=9)
    seen.take(Evidence(done, 5.0, Counts(0, 0), Counts(100, 0)))
    seen.take(Evidence(START + timedelta(seconds=10, microseconds=4), 5.0, Counts(0, 0), Counts(80, 0)))
    assert seen.since(done) == (0, 80)
    assert seen.silence(done, 0.5).seconds == 5.0
