"""Native histograms as classic ones: every edge is one of the histogram's own, and no count is between two."""

from math import inf

import pytest

from healthd_gates.sources.counters import Family
from healthd_gates.sources.native_histograms import CustomBucketsError, Native, as_classic, cumulative
from healthd_gates.sources.processes import with_classic
from healthd_gates.sources.prometheus_api import Series


def native(*buckets: tuple[float, float, float], total: float = 1.0) -> Native:
    """As docs/querying/api.md of Prometheus has it: [boundary rule, left, right, count], texts but the first."""
    raw = [[3 if low < 0 < high else 0, str(low), str(high), str(count)] for low, high, count in buckets]
    return Native.of({"count": str(sum(count for *_, count in buckets)), "sum": str(total), "buckets": raw})


def power(schema: int, place: int) -> tuple[float, float]:
    """The boundaries of a bucket: (2^((place-1)/2^schema), 2^(place/2^schema)]."""
    return 2.0 ** ((place - 1) * 2.0**-schema), 2.0 ** (place * 2.0**-schema)


@pytest.mark.parametrize("schema", [8, 5, 3, 2, 1, 0, -1])
def test_counts_below_an_edge_are_those_of_whole_buckets(schema: int) -> None:
    """Of a schema that is coarser than the edges only its own edges are there."""
    buckets = [(*power(schema, place), float(abs(place) + 1)) for place in range(-3, 4)]
    found = cumulative(native(*buckets), 1.0)
    for edge, count in found.items():
        assert not any(low < edge * (1 - 1e-9) and edge * (1 + 1e-9) < high for low, high, _ in buckets) or schema > 2
        assert count == sum(counted for _, high, counted in buckets if high <= edge * (1 + 1e-9))
    assert found[1.0] == sum(count for _, high, count in buckets if high <= 1)
    assert found[inf] == sum(count for *_, count in buckets)


def test_the_zero_bucket_hides_the_edges_within_it() -> None:
    found = cumulative(native((-0.02, 0.02, 5.0), (*power(3, -8), 1.0)), 1.0)
    assert min(found) > 0.02
    assert (found[0.5], found[inf]) == (6, 6)


def test_nothing_observed_and_values_beyond_the_edges() -> None:
    assert set(cumulative(Native.of({"count": "0", "sum": "0"}), 1.0).values()) == {0.0}
    found = cumulative(native((*power(0, 9), 2.0), (*power(0, -30), 3.0)), 1.0)
    assert (found[64.0], found[inf]) == (3, 5)


def test_milliseconds_have_edges_of_their_own_range() -> None:
    edges = sorted(cumulative(native((*power(3, 60), 1.0)), 1000.0))
    assert edges[0] < 5
    assert 60_000 < edges[-2] < 70_000


def test_buckets_of_ones_own_are_refused() -> None:
    """Those without counts are not in the answer (NHCB), so that their edges are not known."""
    with pytest.raises(CustomBucketsError):
        cumulative(native((0.1, 0.25, 3.0), (0.25, 0.5, 1.0)), 1.0)


def test_a_series_is_buckets_and_a_sum() -> None:
    sample = native((*power(2, -4), 3.0), total=1.4)
    classic = as_classic([(10.0, sample), (20.0, sample)], 1.0)
    assert classic.buckets["0.5"] == ((10.0, 3.0), (20.0, 3.0))
    assert classic.sum == ((10.0, 1.4), (20.0, 1.4))
    series = Series({"instance": "a"}, ((10.0, 3.0),), ((10.0, sample),))
    found = with_classic({Family.REQUESTS: [series], Family.BUCKET: [series]}, 1.0)
    assert {each.labels["le"] for each in found[Family.BUCKET]} >= {"0.5", "1.0", "inf"}
    assert found[Family.SUM] == [Series({"instance": "a"}, ((10.0, 1.4),))]
    assert found[Family.REQUESTS] == [series]
