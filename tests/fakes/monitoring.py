"""A stage for the daemon's core in virtual time: a clock that follows the loop, and a check that follows a script."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from healthd.checks.contract import CheckConfig
from healthd.config.sections import Group
from healthd.config.window import CheckWindow
from healthd.model import FailureKind, Probe, Result, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener, Monitor
from healthd.runtime.redaction import Redactor

MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)
UP = Result.healthy()
DOWN = Result.unhealthy(FailureKind.CONNECT, "refused")
SLOW = Result.degraded(FailureKind.THRESHOLD, "slow")


class LoopClock:
    """Time as the running event loop has it; `wall` moves the wall clock alone."""

    def __init__(self) -> None:
        self.wall = timedelta()

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.steady()) + self.wall

    def steady(self) -> float:
        return asyncio.get_running_loop().time()


class HandClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.seconds)

    def steady(self) -> float:
        return self.seconds


Act = Result | Exception | Callable[[], Awaitable[Any]]


class Scripted:
    """Finds what the script says, the last act for ever."""

    config_model: ClassVar[type[CheckConfig]] = CheckConfig

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.probes = self.closes = 0

    async def probe(self) -> Result:
        self.probes += 1
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, Exception):
            raise act
        if isinstance(act, Result):
            return act
        found: Result = await act()
        return found

    async def close(self) -> None:
        self.closes += 1


async def forever() -> Result:
    """A peer that never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def stubborn() -> Result:
    """A driver that swallows its cancellation, and ends long after."""
    end = asyncio.get_running_loop().time() + 60
    while (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    return UP


@dataclass
class Stage:
    """One board, and the monitors that play on it; what a listener was told."""

    clock: LoopClock | HandClock = field(default_factory=LoopClock)
    redact: Redactor = field(default_factory=Redactor)
    probes: list[tuple[str, Probe]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.board = Board(self.clock)
        self.listener = Listener(
            lambda name, _config, probe: self.probes.append((name, probe)),
            lambda transition, _config: self.transitions.append(transition),
        )

    def arrange(
        self,
        checks: dict[str, CheckConfig],
        groups: dict[str, Group] | None = None,
        windows: tuple[CheckWindow, ...] = (),
    ) -> None:
        self.board.arrange(checks, groups or {}, windows)

    def monitor(self, check: Scripted, name: str = "db", **options: Any) -> Monitor:
        """A monitor of `check`, alone on the board. Its first result counts and so does each after, unless told."""
        config = CheckConfig(**{"kind": "scripted", "fall": 1, "rise": 1, **options})
        self.arrange({name: config})
        return Monitor(
            name, config, check, board=self.board, clock=self.clock, redact=self.redact, listener=self.listener
        )
