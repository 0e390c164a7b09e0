"""Restarts within a window, by counters that only grow."""

from healthd.checks.restarts import Restarts

NOW = 1_800_000_000.0


def test_the_window_moves() -> None:
    """From the second look on; what is known at the first counts then."""
    restarts = Restarts(600.0)
    assert restarts.count({"a": 90, "b": 5}, NOW, {"b": 4}) == {"a": 0, "b": 4}
    assert restarts.count({"a": 92, "b": 6}, NOW + 60) == {"a": 2, "b": 5}
    assert restarts.count({"a": 92, "b": 6}, NOW + 600) == {"a": 2, "b": 1}
    assert restarts.count({"a": 92}, NOW + 660) == {"a": 0}
    assert restarts.count({"a": 92, "b": 6}, NOW + 661) == {"a": 0, "b": 0}, "another process of the same name"


def test_counters_that_begin_again() -> None:
    """What stands there happened since; and no jump of the clock keeps restarts for ever."""
    restarts = Restarts(600.0)
    restarts.count({"a": 90}, NOW)
    assert restarts.count({"a": 2}, NOW + 10) == {"a": 2}
    assert restarts.count({"a": 2}, NOW - 9000) == {"a": 0}
