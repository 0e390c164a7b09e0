"""Counts of an arm from the increase of its counters."""

from math import inf

from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase
from tests.unit.gates.sources.counting import OK, bucket, followed


def test_series_with_different_buckets_are_added_where_they_agree() -> None:
    """Only at an edge that all have is the sum a count."""
    values = {bucket("0.1", "/a"): 1, bucket("1", "/a"): 2, bucket("+Inf", "/a"): 4}
    others = {bucket("0.5", "/b"): 5, bucket("1.0", "/b"): 6, bucket("+Inf", "/b"): 6}
    histogram = followed(Snapshot(2, {**values, **others}), before=Snapshot.zero(1)).counts().latency
    assert histogram is not None
    assert (histogram.edges, histogram.counts) == ((1.0, inf), (8, 2))


def test_no_buckets_are_no_latency_and_idle_buckets_are_zero() -> None:
    """Not measured is not the same as nothing measured."""
    assert followed(Snapshot(1, {OK: 1}), Snapshot(2, {OK: 2})).counts().latency is None
    idle = {OK: 1, bucket("1"): 5, bucket("+Inf"): 5}
    histogram = followed(Snapshot(1, idle), Snapshot(2, idle)).counts().latency
    assert histogram is not None
    assert histogram.counts == (0, 0)


def test_a_histogram_of_milliseconds_is_one_of_seconds() -> None:
    """Istio's and Envoy's; taken as seconds, 20 ms would be called 20 s."""
    total = Counter(Family.SUM, "a")
    edges = [Counter(Family.BUCKET, "a", edge) for edge in ("70.0", "5000.0", "inf")]
    increase = Increase(per_second=1000)
    follow(
        Snapshot(1, {**dict.fromkeys(edges, 0.0), total: 0}),
        [Snapshot(2, {**dict.fromkeys(edges, 8.0), total: 160})],
        increase,
    )
    latency = increase.counts().latency
    assert latency is not None
    assert (latency.edges, latency.counts, latency.sum_seconds) == ((0.07, 5.0, inf), (8, 0, 0), 0.16)
