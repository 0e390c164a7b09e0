"""Whom a receiver keeps waiting after the start of its process, and for how long."""

from __future__ import annotations

from healthd_gates.sources.otlp.receiver import Receiver
from tests.fakes.sources import HandClock
from tests.unit.gates.sources.otlp.exports import NOON


def test_until_the_journal_has_said_what_goes_on_everything_waits() -> None:
    """For a minute at most: it may be away."""
    clock = HandClock(NOON)
    receiver = Receiver(clock, settled=False)
    assert receiver.awaits(["shop"])
    assert not receiver.awaits([])
    clock.forward(61)
    assert not receiver.awaits(["shop"])


def test_then_what_has_a_gate_that_does_not_run_here() -> None:
    """Until it does, or long enough for another replica's lease to end."""
    clock = HandClock(NOON)
    receiver = Receiver(clock, settled=False)
    receiver.settle(["shop", "mail"], 15)
    assert [receiver.awaits([name]) for name in ("shop", "mail", "other")] == [True, True, False]
    assert receiver.awaits(["other", "mail"])
    leave = receiver.subscribe("shop", None)  # type: ignore[arg-type]
    assert not receiver.awaits(["shop"])
    leave()
    assert not receiver.awaits(["shop"])
    clock.forward(15)
    assert not receiver.awaits(["mail"])
    receiver.unsettle()
    assert receiver.awaits(["shop"])


def test_what_runs_well_elsewhere_is_no_longer_awaited() -> None:
    """What began since is not awaited either, and nothing is for longer than at first."""
    clock = HandClock(NOON)
    receiver = Receiver(clock, settled=False)
    receiver.settle(["shop", "mail"], 15)
    clock.forward(5)
    receiver.await_only(["mail", "other"])
    assert [receiver.awaits([name]) for name in ("shop", "mail", "other")] == [False, True, False]
    receiver.await_only(["mail"], 3)
    clock.forward(2)
    receiver.await_only(["mail"], 3)
    assert receiver.awaits(["mail"])
    clock.forward(1)
    assert not receiver.awaits(["mail"])
    assert not receiver.is_waiting
