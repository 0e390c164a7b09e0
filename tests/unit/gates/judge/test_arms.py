"""Counting what is bad in either arm, and bringing the arms together."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.judge.arms import Pairing, SharedIncident, count_above, errors, quantile, slower_than
from tests.unit.gates.judge.evidence import EDGES, interval

HISTOGRAM = Histogram((0.1, 0.4, 1.6, inf), (10, 40, 40, 10))


@pytest.mark.parametrize(
    ("threshold", "above"), [(0.1, 90), (0.4, 50), (1.6, 10), (0.2, 70), (0.8, 30), (0.05, 95), (5.0, 10)]
)
def test_count_above(threshold: float, above: float) -> None:
    """Exact at an edge; half of a bucket at its geometric middle, half of the first at its middle."""
    assert count_above(HISTOGRAM, threshold) == pytest.approx(above)


@given(st.lists(st.integers(0, 1000), min_size=7, max_size=7), st.floats(0.01, 0.99))
def test_quantile_is_the_inverse(counts: list[int], level: float) -> None:
    """As many requests lie beyond the quantile as its level says, where the buckets can tell."""
    histogram = Histogram(EDGES, tuple(counts))
    value = quantile(histogram, level)
    if value is None:
        assert not histogram.total
    elif value < EDGES[-2]:
        assert count_above(histogram, value) == pytest.approx((1 - level) * histogram.total, abs=1e-6)


def test_more_errors_than_requests_are_clamped() -> None:
    """Counters read at different moments can tear apart."""
    assert errors(Counts(5, 7)) == (5, 5)


def test_latency_is_not_always_measured() -> None:
    """No histogram is no reading, which is not "nothing was slow"."""
    assert slower_than(0.1)(Counts(5, 0)) is None
    assert slower_than(0.1)(Counts(100, 0, HISTOGRAM)) == (100, 90)


def test_pairing_waits_for_both_arms() -> None:
    """What one arm reported alone is kept until the other has reported as well."""
    pairing = Pairing()
    assert pairing.add((10, 1), None) is None
    assert pairing.add(None, (20, 2)) is None
    assert pairing.add((10, 1), (20, 2)) == (20, 2, 40, 4)
    assert pairing.add((10, 0), (10, 0)) == (10, 0, 10, 0)
    assert pairing.totals == (30, 2, 50, 4)
    assert pairing.mean == (15, 1, 25, 2)


def test_pairing_waits_for_traffic() -> None:
    """An arm that reports no requests has nothing to compare yet."""
    pairing = Pairing()
    assert pairing.add((0, 0), (20, 2)) is None
    assert pairing.add((3, 1), (20, 2)) == (3, 1, 40, 4)


def test_shared_incident_lasts_a_minute() -> None:
    """The baseline is in trouble while the interval or the last minute is above the line."""
    incident = SharedIncident()
    counts = [(100, 1), (100, 30), *[(100, 0)] * 6]
    seen = []
    for n, bad in counts:
        incident.step(interval(), (n, bad))
        seen.append(incident.above(0.025))
    assert seen == [False, True, True, True, True, True, True, False]


@pytest.mark.parametrize(
    ("requests", "bad", "surely"),
    [(184, 5, False), (184, 30, True), (5, 1, False), (5, 4, True), (2200, 60, False), (2200, 110, True)],
)
def test_one_unlucky_look_excuses_the_candidate_and_says_nothing_of_the_baseline(
    requests: float, bad: float, surely: bool
) -> None:
    """Five errors of 184 requests are above 2.5 %, and happen to a version with 0.8 %."""
    incident = SharedIncident()
    incident.step(interval((100, 0)), (requests, bad))
    assert incident.above(0.025)
    assert incident.surely_above(0.025) is surely


def test_arms_that_are_seen_together_no_more_have_lapsed() -> None:
    pairing = Pairing()
    for _ in range(10):
        pairing.add((10, 0), (10, 0))
    for _ in range(6):
        pairing.add((10, 0), (0, 0))
    assert not pairing.has_lapsed
    pairing.add((10, 0), (0, 0))
    assert pairing.has_lapsed
    pairing.add((10, 0), (10, 0))
    assert not pairing.has_lapsed
