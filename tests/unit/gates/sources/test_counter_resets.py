"""Raw counters become exact increases."""

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Snapshot
from healthd_gates.sources.increase import Increase
from tests.unit.gates.sources.counting import BAD, MISSING, OK, bucket, followed, requests


def test_the_first_snapshot_is_where_counting_starts() -> None:
    """What was counted before the gate is not evidence."""
    increase = followed(Snapshot(1, {OK: 1000}), Snapshot(2, {OK: 1007}))
    assert increase.counts().requests == 7
    assert increase.resets == 0


def test_a_counter_that_went_down_began_anew() -> None:
    """Its increase is all that it says now."""
    increase = followed(Snapshot(1, {OK: 1000}), Snapshot(2, {OK: 12}), Snapshot(3, {OK: 20}))
    assert increase.counts().requests == 20
    assert increase.resets == 1


def test_a_restart_is_one_for_all_counters_of_a_process() -> None:
    """A rare counter may already be past where it was; 3 → 4 then means four, not one."""
    increase = followed(Snapshot(1, {OK: 1000, BAD: 3, MISSING: 2}), Snapshot(2, {OK: 50, BAD: 4, MISSING: 2}))
    assert increase.amounts == {OK: 50, BAD: 4, MISSING: 2}
    assert increase.resets == 1


def test_a_small_counter_that_was_dropped_is_no_restart() -> None:
    """A label that was removed and came back must not count a whole process anew."""
    increase = followed(Snapshot(1, {OK: 1000, BAD: 3}), Snapshot(2, {OK: 1010, BAD: 1}))
    assert increase.amounts == {OK: 10, BAD: 1}
    assert increase.resets == 1


def test_a_start_time_shows_a_restart_that_no_value_shows() -> None:
    """A busy process may have counted more than its predecessor before anyone looked."""
    increase = followed(Snapshot(1, {OK: 10}, started=0), Snapshot(60, {OK: 500}, started=30))
    assert increase.counts().requests == 500
    assert increase.resets == 1


def test_a_start_time_that_is_stated_a_little_differently_is_the_same() -> None:
    """Some exporters compute it anew at each scrape."""
    increase = followed(Snapshot(1, {OK: 10}, started=100.2), Snapshot(2, {OK: 11}, started=100.9))
    assert increase.counts().requests == 1


def test_a_new_counter_of_a_known_process_began_at_zero() -> None:
    """The first error of a running process is one error."""
    increase = followed(Snapshot(1, {OK: 1000}), Snapshot(2, {OK: 1001, BAD: 1}))
    assert increase.amounts == {OK: 1, BAD: 1}


def test_a_counter_that_is_away_for_a_while_goes_on() -> None:
    """A scrape that lacks it neither loses counts nor counts them twice."""
    increase = followed(Snapshot(1, {OK: 10, BAD: 2}), Snapshot(2, {OK: 20}), Snapshot(3, {OK: 30, BAD: 5}))
    assert increase.amounts == {OK: 20, BAD: 3}


def test_snapshots_seen_before_count_once() -> None:
    """Looks overlap so that late samples are not missed."""
    before = Snapshot(5, {OK: 50})
    increase = followed(Snapshot(4, {OK: 40}), Snapshot(5, {OK: 50}), Snapshot(6, {OK: 61}), before=before)
    assert increase.counts().requests == 11


def test_buckets_of_one_histogram_begin_anew_together() -> None:
    """Else a low bucket would hold fewer than there were, and a high one more."""
    quick, slow, every = bucket("0.1"), bucket("1"), bucket("+Inf")
    big = requests()
    increase = followed(
        Snapshot(1, {big: 10_000, quick: 1, slow: 30, every: 40}),
        Snapshot(2, {big: 10_010, quick: 3, slow: 8, every: 10}),
    )
    histogram = increase.counts().latency
    assert histogram is not None
    assert (histogram.edges, histogram.counts) == ((0.1, 1.0, inf), (3, 5, 2))


@pytest.mark.proof
@given(
    lives=st.lists(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=6), min_size=1, max_size=4
    ),
    stop_after=st.integers(1, 10),
    stated=st.booleans(),
)
def test_any_split_into_looks_gives_the_same_sum(
    lives: list[list[tuple[int, int]]], stop_after: int, stated: bool
) -> None:
    """However a stream of scrapes is cut into looks, and through JSON in between, nothing is lost or counted twice."""
    snapshots, at = [Snapshot.zero(0)], 0
    for number, life in enumerate(lives):
        good = bad = 0
        for more_good, more_bad in life:
            at, good, bad = at + 1, good + more_good, bad + more_bad
            snapshots.append(Snapshot(at, {OK: good, BAD: bad}, started=100.0 * number if stated else None))
    whole, parts, state = followed(*snapshots), Increase(), None
    for first in range(0, len(snapshots), stop_after):
        state = follow(state, snapshots[max(0, first - 2) : first + stop_after], parts)
        state = state and Snapshot.from_json(json.loads(json.dumps(state.to_json())))
    assert parts == whole
    if stated:
        assert whole.counts().requests == sum(good + bad for life in lives for good, bad in life)
        assert whole.resets == len(lives) - 1


def life(at: float, *values: float, label: str = "200", errors: str = "500") -> Snapshot:
    """A process whose good and bad requests are so many."""
    return Snapshot(at, dict(zip((requests(label), requests(errors)), values, strict=True)))


@pytest.mark.parametrize("first", [0, 5])
def test_a_small_fall_of_a_long_life_is_no_restart(first: int) -> None:
    """A replica that lags, or a reload, shows a little less for once: no life is counted again, and nothing twice."""
    seen = [life(10.0 * n, 200_000 + 300 * n, 40 + 75 * n) for n in range(12)]
    dip = life(seen[first].at + 5, seen[first].values[requests()] - 40, seen[first].values[requests("500")])
    increase = followed(*seen[: first + 1], dip, *seen[first + 1 :])
    assert (increase.counts().requests, increase.resets) == (11 * 375, 0)
    assert increase.notes


def test_a_process_that_restarts_at_every_scrape_is_counted() -> None:
    """What fell is about what a scrape brings, so that it can have been counted since."""
    assert followed(life(0, 0, 0), life(10, 400, 4), life(20, 380, 9), life(30, 370, 2)).counts().requests == 1165


def test_workers_behind_one_address_make_no_errors() -> None:
    """Each scrape meets another one: what both have behind them is not of this gate."""
    braid = [life(10.0 * n, (50_000, 52_000)[n % 2] + 150 * n, (900, 20)[n % 2]) for n in range(13)]
    counts = followed(*braid).counts()
    assert counts.requests < 13 * 300
    assert followed(*braid).notes


def test_a_label_more_is_no_new_life() -> None:
    """After a reload the same counters have another label; yesterday's errors do not come back."""
    before = [life(10.0 * n, 180_000 + 300 * n, 20_000) for n in range(4)]
    after = [life(40 + 10.0 * n, 181_200 + 300 * n, 20_000, label="200x", errors="500x") for n in range(4)]
    counts = followed(*before, *after).counts()
    assert counts.requests == 3 * 300 + 3 * 300


def test_an_error_that_is_new_counts_from_its_first() -> None:
    """A series that appears beside the others began at zero."""
    assert followed(Snapshot(0, {requests(): 1000}), life(10, 1300, 30)).counts().requests == 330


@pytest.mark.parametrize(
    ("seen", "restarts", "repeated"),
    [
        ([Snapshot(5, {OK: 90}), Snapshot(10, {OK: 30}), Snapshot(15, {OK: 20}), Snapshot(20, {OK: 5})], 2, 1),
        ([Snapshot(5, {OK: 90}, 0), Snapshot(10, {OK: 95}, 7), Snapshot(15, {OK: 98}, 13)], 2, 1),
        ([Snapshot(5, {OK: 90}), Snapshot(10, {OK: 70}), Snapshot(15, {OK: 95}), Snapshot(20, {OK: 75})], 0, 0),
        ([Snapshot(5, {OK: 90}, 1), Snapshot(10, {OK: 95}, 3), Snapshot(15, {OK: 98}, 1)], 0, 0),
        ([Snapshot(5, {OK: 90, BAD: 9}), Snapshot(10, {OK: 95, BAD: 1})], 0, 0),
    ],
    ids=["counters fall", "starts are stated", "workers take turns", "workers state their starts", "one is dropped"],
)
def test_a_process_that_dies_is_told_from_what_only_looks_like_it(
    seen: list[Snapshot], restarts: int, repeated: int
) -> None:
    """Several workers behind one address, and a counter that is created anew, are no restarts."""
    before, *later = seen
    increase = followed(*later, before=before)
    assert (increase.restarts, increase.repeated) == (restarts, repeated)
