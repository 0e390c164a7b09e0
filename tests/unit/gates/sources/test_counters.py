"""Snapshots of counters, and their form in the journal."""

import json
from math import inf, nan

import pytest

from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot, valid
from healthd_gates.sources.increase import Increase
from tests.unit.gates.sources.counting import OK, bucket, followed


def test_a_snapshot_survives_the_journal() -> None:
    """A gate that was killed goes on from JSON."""
    snapshot = Snapshot(
        1.5, {OK: 3.0, bucket("+Inf"): 4.0, Counter.of(Family.SUM, {}): 0.25}, started=1.0, refused=True
    )
    assert Snapshot.from_json(json.loads(json.dumps(snapshot.to_json()))) == snapshot


@pytest.mark.parametrize(("value", "good"), [(0, True), (1.5, True), (-1, False), (nan, False), (inf, False)])
def test_what_a_counter_may_say(value: float, good: bool) -> None:
    """NaN, infinity and negative values are nonsense of the exporter."""
    assert valid(value) is good


def test_a_bucket_may_spell_its_edge_otherwise() -> None:
    """`1` and `1.0` are one edge, also from one scrape to the next."""
    assert bucket("1") == bucket("1.0")
    assert bucket("+Inf") == bucket("Inf")


def test_restarts_are_remembered_with_the_cursor() -> None:
    """A gate that was killed in a crash loop goes on to count it."""
    state = follow(Snapshot(1, {OK: 90}), [Snapshot(2, {OK: 3})], Increase())
    assert state is not None
    increase = followed(Snapshot(3, {OK: 1}), before=Snapshot.from_json(json.loads(json.dumps(state.to_json()))))
    assert (increase.restarts, increase.repeated) == (1, 1)
    assert Snapshot.from_json([1.0, None, {}]) == Snapshot(1.0, {})


def test_an_earlier_release_reads_the_cursor_of_a_process_that_answers() -> None:
    """It takes six values, and would never read the source of a gate again whose cursor has one more."""
    assert len(Snapshot(1.0, {OK: 2.0}).to_json()) == 6


@pytest.mark.parametrize(("before", "now", "restarts"), [(None, None, 1), (1.0, None, 1), (1.0, 1.0, 0), (1.0, 9.5, 1)])
def test_a_process_that_left_its_address_began_anew(before: float | None, now: float | None, restarts: int) -> None:
    """Though it has counted as much since as in the life before; unless it states that it is the same one."""
    away = Snapshot(9, {OK: 20}, started=before, refused=True)
    increase = Increase()
    state = follow(away, [Snapshot(10, {OK: 22}, started=now), Snapshot(11, {OK: 24}, started=now)], increase)
    assert increase.restarts == restarts
    assert state is not None
    assert (state.restarts, state.refused) == (restarts, False)


def test_buckets_of_two_routes_stay_apart_through_the_journal() -> None:
    """Each route's latencies are its own after the cursor was stored; all of them together are the whole."""

    def buckets(at: float, fast: float, slow: float) -> Snapshot:
        counted = {
            ("/a b", "0.5"): fast,
            ("/a b", "+Inf"): fast,
            ("/b", "0.5"): 0.0,
            ("/b", "+Inf"): slow,
            ("", "+Inf"): 1.0,
        }
        values = {
            Counter.of(Family.BUCKET, {"route": route, "le": edge}, latency_by="route"): value
            for (route, edge), value in counted.items()
        }
        return Snapshot(at, values)

    first = Snapshot.from_json(json.loads(json.dumps(buckets(0, 10, 1).to_json())))
    assert first == buckets(0, 10, 1)
    increase = Increase()
    follow(first, [buckets(10, 30, 8)], increase)
    counts = increase.counts()
    assert {name: latency.counts for name, latency in counts.strata_latency.items()} == {
        "/a b": (20, 0),
        "/b": (0, 7),
    }
    assert counts.latency is not None
    assert counts.latency.total == 27
