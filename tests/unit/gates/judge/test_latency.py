"""Latency quantiles, against a limit and against a baseline, from bucket counts alone."""

from itertools import pairwise, permutations
from math import inf, log
from statistics import NormalDist

import pytest

from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Bound, Finding, Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.quantiles import known_quantile
from healthd_gates.judge.rules import Against, Rules, Timing
from tests.unit.gates.judge.evidence import START, interval, slow_interval, until_verdict

FAST = (300.0, 150.0, 40.0, 8.0, 2.0, 0.0, 0.0)
"""p95 about 0.39 s."""
SHIFTED = (150.0, 180.0, 110.0, 45.0, 13.0, 2.0, 0.0)
"""Each request takes about twice the time; p95 still below 1 s."""
SLOW = (100.0, 150.0, 100.0, 70.0, 50.0, 20.0, 10.0)
"""p95 about 4 s."""
HISTORY = [slow_interval(FAST, FAST)] * 60


def judge(limit: float | None = 1.0, comparison: Compare | None = None, timing: Timing | None = None) -> Judge:
    """A judge of the 95th percentile."""
    rule = Latency(limit=limit, compare=comparison)
    return Judge(Rules((rule,), timing=timing or Timing()), HISTORY)


def test_below_the_limit_passes() -> None:
    """A p95 proven to be below its limit passes."""
    standing = until_verdict(judge(), [slow_interval(FAST)] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.PROVEN_SAFE)
    report = standing.criteria[0]
    assert report.observed == pytest.approx(0.25 * 2 ** (5 / 8))
    assert report.interval == (0.25, 0.5)


def test_above_the_limit_fails() -> None:
    """A p95 of 4 s against a limit of 1 s fails within a minute of settling."""
    standing = until_verdict(judge(), [slow_interval(SLOW)] * 183)
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 90
    assert "above the limit" in standing.criteria[0].sentence


def test_slower_than_the_baseline_fails_below_the_limit() -> None:
    """Twice the baseline's times fail although the limit is kept."""
    standing = until_verdict(judge(5.0, Compare()), [slow_interval(SHIFTED, FAST)] * 183)
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 90
    assert "longer than the baseline allows" in standing.criteria[0].sentence


def test_as_fast_as_the_baseline_passes() -> None:
    """A release as fast as its baseline is proven safe against limit and baseline."""
    standing = until_verdict(judge(5.0, Compare()), [slow_interval(FAST, FAST)] * 183)
    assert standing.reason is Reason.PROVEN_SAFE


def test_comparison_without_history_or_initial_delay() -> None:
    """With no past at all the edges come from the first interval, and the comparison still works."""
    rules = Rules((Latency(limit=None, compare=Compare()),), timing=Timing(initial_delay=0))
    assert until_verdict(Judge(rules), [slow_interval(SHIFTED, FAST)] * 183).verdict is Verdict.FAIL
    assert until_verdict(Judge(rules), [slow_interval(FAST, FAST)] * 183).verdict is Verdict.PASS


CLIENT = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)
EXPRESS = (0.003, 0.03, 0.1, 0.3, 1.5, 10.0, inf)
COARSE = (0.1, 0.3, 1.2, 5.0, inf)
PLAIN = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, inf)


def lognormal(edges: tuple[float, ...], median: float, spread: float) -> Counts:
    """A thousand requests of one law, counted in these buckets."""
    below = [NormalDist().cdf(log(edge / median) / spread) for edge in edges[:-1]] + [1.0]
    counts = tuple(1000 * (high - low) for low, high in pairwise([0.0, *below]))
    return Counts(1000, 0, Histogram(edges, counts, 1000 * median))


@pytest.mark.parametrize(("mine", "theirs"), list(permutations((CLIENT, EXPRESS, COARSE, PLAIN), 2)))
@pytest.mark.parametrize("against", list(Against))
def test_other_buckets_are_no_slowness(mine: tuple[float, ...], theirs: tuple[float, ...], against: Against) -> None:
    """A release that changes its histogram's buckets is no slower for it, whatever the latencies are."""
    rules = Rules((Latency(limit=5.0, compare=Compare(to=against)),), timing=Timing(maximum=600))
    for median in (0.02, 0.08, 0.28, 0.9):
        for spread in (0.15, 0.7):
            candidate, baseline = lognormal(mine, median, spread), lognormal(theirs, median, spread)
            judged = Judge(rules, [Evidence(START, 30.0, None, baseline)] * 60)
            standing = until_verdict(judged, [Evidence(START, 10.0, candidate, baseline)] * 40)
            assert standing.verdict is not Verdict.FAIL
            assert against is Against.BEFORE or "buckets are others" in standing.criteria[0].sentence


def test_large_differences_show_through_other_buckets() -> None:
    """Five times the latency is seen all the same."""
    rules = Rules((Latency(limit=5.0, compare=Compare()),))
    candidate, baseline = lognormal(PLAIN, 1.0, 0.5), lognormal(CLIENT, 0.2, 0.5)
    stream = [Evidence(START, 10.0, candidate, baseline)] * 60
    assert until_verdict(Judge(rules), stream).verdict is Verdict.FAIL


def test_earlier_baseline() -> None:
    """History is the baseline after a full switch."""
    earlier = Compare(to=Against.HISTORY, tolerated=1.5, harmful=3.0)
    assert until_verdict(judge(None, earlier), [slow_interval(SLOW)] * 183).verdict is Verdict.FAIL
    healthy = until_verdict(judge(None, earlier, Timing(maximum=60, minimum=60)), [slow_interval(FAST)] * 183)
    assert healthy.verdict is Verdict.PASS


def test_limit_inside_a_bucket_stays_open() -> None:
    """Between two bucket edges nothing can be proven, and the sentence says that the buckets are too coarse."""
    between = (0.0, 0.0, 0.0, 450.0, 50.0, 0.0, 0.0)
    standing = until_verdict(judge(1.7), [slow_interval(between)] * 183)
    assert standing.verdict is Verdict.INCONCLUSIVE
    assert standing.criteria[0].finding is Finding.OPEN
    assert standing.reason is Reason.TOO_COARSE
    cure = 'buckets too coarse between 1 s and 2.5 s: put an edge at the limit, le="1.7" in seconds'
    assert cure in standing.criteria[0].sentence


def test_limit_beyond_all_edges_never_fails() -> None:
    """Where no finite edge lies above the limit, slowness beyond it cannot be seen, hence not blamed."""
    standing = until_verdict(judge(60.0), [slow_interval(SLOW)] * 183)
    assert standing.verdict is not Verdict.FAIL


def test_slow_baseline_is_not_this_release() -> None:
    """While the baseline is as slow nothing speaks against the candidate's limit."""
    standing = until_verdict(judge(timing=Timing(minimum=600, maximum=600)), [slow_interval(SLOW, SLOW)] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.BASELINE_ALREADY_BAD)


@pytest.mark.parametrize(
    ("against", "first", "verdict"),
    [
        (Against.CONCURRENT, 0.005, Verdict.PASS),
        (Against.CONCURRENT, 5.0, Verdict.INCONCLUSIVE),
        (Against.HISTORY, 5.0, Verdict.INCONCLUSIVE),
    ],
)
def test_what_lies_in_one_slow_bucket_is_not_as_fast_as_the_baseline(
    against: Against, first: float, verdict: Verdict
) -> None:
    """Below a few milliseconds nobody asks; below five seconds anything may have become a hundred times slower."""
    counts = Counts(1000, 0, Histogram((first, 10.0, inf), (1000.0, 0.0, 0.0)))
    rules = Rules((Latency(limit=10.0, compare=Compare(to=against)),), timing=Timing(maximum=600))
    judged = Judge(rules, [Evidence(START, 30.0, None, counts)] * 60)
    standing = until_verdict(judged, [Evidence(START, 10.0, counts, counts)] * 80)
    assert standing.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert standing.reason is Reason.TOO_COARSE
        assert "hides several times more: add edges" in standing.criteria[0].sentence


@pytest.mark.parametrize(
    ("counts", "known"),
    [
        ((0.0, 0.0, 0.0), None),
        ((9.0, 0.0, 0.0), (0.1, Bound.AT_MOST)),
        ((0.0, 9.0, 0.0), (5.0, Bound.AT_MOST)),
        ((0.0, 0.0, 9.0), (5.0, Bound.ABOVE)),
        ((2.0, 9.0, 1.0), (5.0, Bound.AT_MOST)),
    ],
)
def test_no_quantile_is_told_of_a_bucket_that_tells_none(
    counts: tuple[float, ...], known: tuple[float, Bound | None] | None
) -> None:
    """Only what bounds it is known."""
    assert known_quantile(Histogram((0.1, 5.0, inf), counts), 0.5) == known


def test_a_narrow_bucket_tells_a_quantile() -> None:
    known = known_quantile(Histogram((0.1, 0.2, inf), (0.0, 9.0, 0.0)), 0.5)
    assert known is not None
    assert known[0] == pytest.approx(0.1414, rel=1e-3)
    assert known[1] is None


def test_other_buckets_in_mid_bake() -> None:
    """A restart with other bucket edges goes on counting where the edges allow."""
    judged = judge(1.0, Compare())
    until_verdict(judged, [slow_interval(FAST, FAST)] * 8)
    item = slow_interval(FAST, FAST)
    assert item.candidate is not None
    odd = Histogram((1.0, float("inf")), (498.0, 2.0), 100.0)
    changed = [interval((500, 0), (500, 0))]
    object.__setattr__(changed[0].candidate, "latency", odd)
    standing = until_verdict(judged, changed * 20)
    assert standing.verdict is not Verdict.FAIL
