"""Samples become snapshots of processes."""

from collections.abc import Sequence
from math import nan

from healthd_gates.sources.counters import Counter, Family
from healthd_gates.sources.processes import Sign, process_of, read, tells_of_requests
from healthd_gates.sources.prometheus_api import Series

Found = dict[Family | Sign, Sequence[Series]]
APART = ("job", "instance")
A = {"__name__": "requests_total", "job": "api", "instance": "a", "status": "200"}
OK, BAD = Counter.of(Family.REQUESTS, A), Counter.of(Family.ERRORS, {**A, "status": "500"})


def series(labels: dict[str, str], *samples: tuple[float, float]) -> Series:
    return Series(labels, samples)


def test_what_one_scrape_found_is_one_snapshot() -> None:
    """Counters of a process at one time belong together, with the start that it stated."""
    reading = read(
        {
            Family.REQUESTS: [series(A, (1, 10), (2, 20))],
            Family.ERRORS: [series({**A, "status": "500"}, (2, 1))],
            Sign.STARTED: [series({**A, "__name__": "start"}, (1, 0.5), (2, 0.5))],
        },
        APART,
        news_after=0,
    )
    first, second = reading.snapshots["api a"]
    assert (first.at, first.values, first.started) == (1, {OK: 10}, 0.5)
    assert (second.at, second.values, second.started) == (2, {OK: 20, BAD: 1}, 0.5)


def test_an_error_waits_for_its_request() -> None:
    """A scrape that was stored after the requests were asked for is left to the next look."""
    errors = series({**A, "status": "500"}, (1, 0), (2, 5))
    later: Found = {Family.REQUESTS: [series(A, (1, 10))], Family.ERRORS: [errors]}
    (only,) = read(later, APART, news_after=0).snapshots["api a"]
    assert only.values == {OK: 10, BAD: 0}


def test_errors_of_another_exporter_are_not_lost() -> None:
    """The load balancer may count errors, and the application requests."""
    found: Found = {Family.REQUESTS: [series(A, (9, 10))], Family.ERRORS: [series({"instance": "lb"}, (8, 5))]}
    assert set(read(found, APART, news_after=0).snapshots) == {"api a", " lb"}


def test_a_scrape_with_nonsense_is_not_believed() -> None:
    """NaN in the errors must not make their requests look free of errors; a spoilt sum spoils nothing else."""
    found: Found = {
        Family.REQUESTS: [series(A, (1, 10), (2, 20))],
        Family.ERRORS: [series({**A, "status": "500"}, (1, 1), (2, nan))],
        Family.SUM: [series({**A, "__name__": "sum"}, (1, nan))],
    }
    reading = read(found, APART, news_after=0)
    (only,) = reading.snapshots["api a"]
    assert only.values == {OK: 10, BAD: 1}
    assert reading.dropped == 2
    assert read(found, APART, news_after=1).dropped == 1


def test_a_process_that_is_there_and_counted_nothing_tells_of_no_requests() -> None:
    """That is no traffic; a process that is not there says nothing."""
    up = {"__name__": "up", "job": "api", "instance": "a"}
    there = read({Family.REQUESTS: [], Sign.UP: [series(up, (1, 1))]}, APART, news_after=0)
    assert tells_of_requests(there.snapshots["api a"])
    gone = read({Family.REQUESTS: [], Sign.UP: [series(up, (1, 0))]}, APART, news_after=0)
    assert not gone.snapshots


def test_a_series_without_process_labels_stands_alone() -> None:
    """Counters that several processes share must not begin anew together."""
    assert process_of({"status": "200"}, APART) != process_of({"status": "500"}, APART)
    assert process_of({"le": "1", "a": "b"}, APART) == process_of({"le": "2", "a": "b"}, APART)
