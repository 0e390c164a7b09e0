"""Checks whose drivers are loaded once health is served, where one of the drivers hangs."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from healthd import checks
from healthd.checks import CHECKS
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.misconfigured import UnloadedCheck
from healthd.monitoring import suite as monitoring
from tests.fakes.monitoring import UP, Scripted
from tests.unit.healthd.monitoring.test_suite import Moved, Running, settings

LOADED = threading.Event()


class Prompt(Scripted):
    config_model = CheckConfig

    def __init__(self, config: CheckConfig, context: CheckContext) -> None:
        super().__init__(UP)


class Hanging(Prompt):
    """A kind whose driver is there only once `LOADED` is set."""

    def __init__(self, config: CheckConfig, context: CheckContext) -> None:
        LOADED.wait()
        super().__init__(config, context)


@pytest.fixture(autouse=True)
def _kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in (Prompt, Hanging):
        monkeypatch.setitem(checks.KINDS, kind.__name__.lower(), f"{__name__}:{kind.__name__}")
    monkeypatch.setattr(CHECKS, "lacks_driver", lambda kind: kind != "ready")
    monkeypatch.setitem(checks.KINDS, "ready", f"{__name__}:Prompt")
    monkeypatch.setattr(monitoring, "_HANGS", 0.01)
    LOADED.clear()
    yield
    LOADED.set()


async def test_a_driver_that_hangs_keeps_only_its_own_checks_waiting() -> None:
    """The others are built and run, as is a check that needs no driver; it is built itself once its driver is there."""
    running = Running()
    await running.suite.arrange(settings(a={"kind": "hanging"}, b={"kind": "prompt"}, c={"kind": "ready"}))
    assert (await running.suite.probe("c")).result == UP, "before any driver is loaded"
    loading = asyncio.create_task(running.suite.load_drivers())
    assert (await running.suite.probe("b")).result == UP
    assert isinstance(running.suite._monitors["a"].check, UnloadedCheck)
    asked = asyncio.create_task(running.suite.probe("a"))
    LOADED.set()
    assert (await asked).result == UP
    await loading


async def test_what_a_hanging_driver_is_taken_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python searches for one package at a time: the message does not blame this driver alone."""
    monkeypatch.setattr(monitoring, "_PATIENCE", 0.01)
    running = Running()
    await running.suite.arrange(settings(a={"kind": "hanging"}))
    message = (await running.suite.probe("a")).result.message or ""
    assert "'hanging' is still not loaded" in message
    assert "or for another package, whose search locks every import" in message


async def test_a_driver_that_is_on_its_way_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that a reload brought waits for it as long as a caller would, and runs as soon as it is there."""
    running = Running()
    running.schedule = running.suite._schedule = moved = Moved()
    await running.suite.arrange(settings(a={"kind": "hanging"}))
    monitor = running.suite._monitors["a"]
    assert running.suite._tick(monitor) is None
    ((seconds, name),) = moved.moves
    assert (0 < seconds <= 15, name) == (True, "a")
    loading = asyncio.create_task(running.suite.load_drivers())
    LOADED.set()
    await loading
    assert moved.moves[1:] == [(0.0, "a")]
    flight = running.suite._tick(monitor)
    assert flight is not None
    assert (await flight).result == UP
    monkeypatch.setattr(monitoring, "_PATIENCE", 0.0)
    LOADED.clear()
    await running.suite.arrange(settings(a={"kind": "hanging", "interval": "9s"}))
    late = running.suite._tick(running.suite._monitors["a"])
    assert late is not None
    assert "still not loaded" in (await late).result.message
