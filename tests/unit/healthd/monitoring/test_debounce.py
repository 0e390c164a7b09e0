"""Rise and fall."""

from healthd.model import Status
from healthd.monitoring.debounce import Debounce

UP, SLOW, DOWN = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY


def statuses(debounce: Debounce, *seen: Status) -> list[Status]:
    return [debounce.observe(status) for status in seen]


def test_first_result_counts_at_once() -> None:
    """A daemon that starts beside a dead database must not call it healthy for three intervals."""
    assert statuses(Debounce(fall=3, rise=2), DOWN) == [DOWN]
    assert statuses(Debounce(fall=3, rise=2), UP) == [UP]


def test_fall_failures_in_a_row_make_it_unhealthy() -> None:
    """Two failures are not three, and a success between them starts the count anew."""
    debounce = Debounce(fall=3, rise=2)
    assert statuses(debounce, UP, DOWN, DOWN, UP, DOWN, DOWN, DOWN) == [UP, UP, UP, UP, UP, UP, DOWN]


def test_rise_successes_in_a_row_make_it_healthy_again() -> None:
    """One good answer out of an outage is not yet the end of it."""
    debounce = Debounce(fall=1, rise=2)
    assert statuses(debounce, DOWN, UP, DOWN, UP, SLOW) == [DOWN, DOWN, DOWN, DOWN, SLOW]


def test_settling_between_two_statuses() -> None:
    """While results speak against the status, it is time to look more often."""
    debounce = Debounce(fall=2, rise=2)
    debounce.observe(UP)
    assert not debounce.settling
    debounce.observe(DOWN)
    assert debounce.settling
    debounce.observe(DOWN)
    assert not debounce.settling
