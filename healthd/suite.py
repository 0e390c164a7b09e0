"""All checks of a configuration: builds their monitors, keeps them scheduled, and notices the overdue ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from healthd.board import Board
from healthd.checks import find_kind
from healthd.checks.contract import Check, CheckConfig, CheckContext
from healthd.checks.misconfigured import Misconfigured, MisconfiguredConfig
from healthd.clock import Clock
from healthd.model import Probe, Status, Transition
from healthd.monitor import Listener, Monitor
from healthd.redaction import Redactor
from healthd.schedule import Schedule
from healthd.settings import Settings

_SWEEP = 1.0  # seconds between two looks for overdue checks


class Suite:
    """The running checks. `arrange` may be called again with a new configuration."""

    def __init__(
        self,
        *,
        board: Board,
        schedule: Schedule,
        clock: Clock,
        redact: Redactor,
        listener: Listener,
        environ: Mapping[str, str],
    ) -> None:
        self._board, self._schedule, self._clock = board, schedule, clock
        self._redact, self._listener, self._environ = redact, listener, environ
        self._monitors: dict[str, Monitor] = {}
        self._overdue: set[str] = set()

    async def arrange(self, settings: Settings) -> None:
        """Run exactly these checks. One whose configuration did not change goes on undisturbed."""
        wanted = settings.active_checks
        gone = [m for name, m in self._monitors.items() if wanted.get(name) != m.config]
        for monitor in gone:
            del self._monitors[monitor.name]
            self._schedule.remove(monitor.name)
        self._board.arrange(wanted, settings.active_groups, settings.maintenance)
        for name, config in wanted.items():
            if name not in self._monitors:
                self._monitors[name] = self._build(name, config)
                self._schedule.every(config.interval, name, partial(self._tick, self._monitors[name]))
        await asyncio.gather(*(monitor.close() for monitor in gone))

    async def probe(self, name: str) -> Probe:
        """Run a check now. Raises KeyError."""
        return await self._monitors[name].run()

    def check(self, name: str) -> Check:
        """The check behind a name. Raises KeyError."""
        return self._monitors[name].check

    async def close(self) -> None:
        await asyncio.gather(*(monitor.close() for monitor in self._monitors.values()))

    async def watch_overdue(self) -> None:
        """Tells the listener of checks whose results grew too old. Runs until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP)
            self.sweep()

    def sweep(self) -> None:
        states = self._board.checks()
        overdue = {state.name for state in states if state.overdue}
        for state in states:
            if state.name in overdue - self._overdue and state.probe is not None:
                old = self._monitors[state.name].shown
                moment = self._clock.now()
                self._listener.changed(Transition(state.name, old, Status.UNKNOWN, moment, None), state.config)
        self._overdue = overdue

    async def _tick(self, monitor: Monitor) -> None:
        """What the schedule runs: one probe, and the next one sooner or later than usual where that is called for."""
        await monitor.run()
        if (pause := monitor.pause) != monitor.config.interval:
            self._schedule.next_in(pause, monitor.name)

    def _build(self, name: str, config: CheckConfig) -> Monitor:
        context = CheckContext(name, self._clock, self._environ)
        misconfigured = isinstance(config, MisconfiguredConfig)
        kind = Misconfigured if misconfigured else find_kind(config.kind)
        return Monitor(
            name,
            config,
            kind(config, context),
            board=self._board,
            clock=self._clock,
            redact=self._redact,
            listener=self._listener,
        )
