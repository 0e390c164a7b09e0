"""All checks of a configuration: builds their monitors, schedules them, and detects overdue ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import structlog

from healthd.checks import CHECKS, find_kind
from healthd.checks.contract import Check, CheckConfig, CheckContext
from healthd.checks.failures import describe
from healthd.checks.heartbeat_record import Records
from healthd.checks.misconfigured import BrokenCheck, Misconfigured, MisconfiguredConfig, UnloadedCheck
from healthd.config.settings import Settings
from healthd.model import Probe, Status, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener, Monitor
from healthd.monitoring.schedule import STAGGER, Schedule
from healthd.monitoring.state import CheckState
from healthd.registry import why_not_loaded
from healthd.runtime.clock import Clock
from healthd.runtime.daemon_thread import in_daemon_thread
from healthd.runtime.events import set_within
from healthd.runtime.redaction import Redactor

_log = structlog.get_logger(__name__)
_AT_ONCE = 20  # checks that are built without a pause
_PATIENCE = 15.0  # seconds that a caller, and the first probe, waits for the driver of a check
_HANGS = 3.0  # seconds after which the next driver is loaded although one is not there
_SWEEP = 1.0  # seconds between two searches for overdue checks


class Suite:
    """Running checks. `arrange` may be called again with a new configuration."""

    def __init__(
        self,
        *,
        board: Board,
        schedule: Schedule,
        clock: Clock,
        redact: Redactor,
        listener: Listener,
        environ: Mapping[str, str],
        heartbeats: Records | None = None,
    ) -> None:
        self._board, self._schedule, self._clock = board, schedule, clock
        self._redact, self._listener, self._environ = redact, listener, environ
        self._heartbeats = heartbeats or Records()
        self._monitors: dict[str, Monitor] = {}
        self._closed = False
        self._told: set[tuple[str, float]] = set()  # expired checks and times that were reported to the listener
        self._shared: tuple[Collection[str], str | None] = (), None
        self.elsewhere: Callable[[str], float | None] = lambda _: None
        """Returns the seconds for which a check may be left to another replica, None where it is to run here."""

    async def arrange(self, settings: Settings) -> None:
        """Run exactly these checks. A check whose configuration did not change continues undisturbed; one that looks at
        the same in the same way counts its failures and successes in a row on. Does nothing once closed."""
        if self._closed:
            return
        wanted = settings.active_checks
        gone = [m for name, m in self._monitors.items() if wanted.get(name) != m.config]
        for monitor in gone:
            monitor.retire()
            del self._monitors[monitor.name]
            self._schedule.remove(monitor.name)
        self._board.arrange(wanted, settings.active_groups, settings.windows)
        for monitor in self._monitors.values():
            if isinstance(monitor.check, BrokenCheck):  # what it lacked may have been installed
                monitor.check = self._bear_or_wait(monitor.config, self._context(monitor.name))
        new = {name: config for name, config in wanted.items() if name not in self._monitors}
        earlier = {monitor.name: monitor for monitor in gone}
        for number, (name, config) in enumerate(new.items(), 1):
            self._monitors[name] = self._build(name, config)
            if name in earlier and earlier[name].config.looks_as(config):
                self._monitors[name].go_on_from(earlier[name])
            self._schedule.every(config.interval, name, partial(self._tick, self._monitors[name]))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # a thousand of them must not delay an answer
                if self._closed:  # meanwhile: what is built now would never be closed
                    break
        await asyncio.gather(*(monitor.close() for monitor in gone))

    async def load_drivers(self) -> None:
        """Build the checks whose drivers the configuration was read without. The drivers are loaded in threads, one
        after the other, so that the event loop has turns in between; one that hangs keeps the next waiting for
        seconds only. A check that cannot be built fails, and the log says why. Returns once all are built, also by an
        earlier call."""
        waiting: dict[str, list[Monitor]] = {}
        earlier: list[UnloadedCheck] = []
        for monitor in self._monitors.values():
            if not isinstance(unloaded := monitor.check, UnloadedCheck):
                continue
            if unloaded.begun:
                earlier.append(unloaded)
            else:
                unloaded.begun = True
                waiting.setdefault(monitor.config.kind, []).append(monitor)
        async with asyncio.TaskGroup() as loading:
            for monitors in waiting.values():
                await asyncio.wait({loading.create_task(self._load(monitors))}, timeout=_HANGS)
        for unloaded in earlier:
            await unloaded.built.wait()

    async def probe(self, name: str) -> Probe:
        """Probe a check now. Raises KeyError, or RetiredError when a reload removes it meanwhile."""
        if isinstance(unloaded := self._monitors[name].check, UnloadedCheck):
            await set_within(_PATIENCE, unloaded.built)
        monitor = self._monitors[name]
        probe = await monitor.run()
        self._look_in_time(monitor)
        return probe

    def name_replica(self, checks: Collection[str], name: str) -> None:
        """Name this replica in the states of checks that replicas run for each other."""
        self._shared = checks, name
        for monitor in self._monitors.values():
            monitor.replica = name if monitor.name in checks else None

    def adopt(self, states: Iterable[CheckState]) -> None:
        """Show what other replicas found, and go on from there."""
        known = ((self._monitors.get(state.name), state) for state in states)
        mine = (monitor.adopt(state) for monitor, state in known if monitor and monitor.config is state.config)
        self._board.put(*mine)

    def run_in(self, seconds: float, name: str) -> None:
        """Move the next run of a check."""
        self._schedule.next_in(seconds, name)

    def look_again(self, names: Sequence[str]) -> None:
        """Run checks now, and not only when they are due."""
        for place, name in enumerate(names):
            self._schedule.next_in(place * STAGGER, name, jitter=0)

    async def close(self) -> None:
        """Stop probing, and drop every connection."""
        if self._closed:
            return
        self._closed = True
        for name in self._monitors:  # the schedule outlives the monitors, and must begin none that has retired
            self._schedule.remove(name)
        await asyncio.gather(*(monitor.close() for monitor in self._monitors.values()))

    async def watch_overdue(self, beat: Callable[[], None] = lambda: None) -> None:
        """Report checks whose results became too old to the listener, and call `beat()` each time. Runs until
        cancelled."""
        while True:
            beat()
            await asyncio.sleep(_SWEEP)
            self.sweep()

    def sweep(self) -> None:
        """Search once for overdue checks; each expiry is reported once."""
        overdue = [state for state in self._board.checks() if state.overdue]
        for state in overdue:
            if (state.name, state.good_until) not in self._told:
                before, moment = self._board.stored(state.name) or state, self._clock.now()
                self._listener.changed(
                    Transition(state.name, before.status, Status.UNKNOWN, moment, None), state.config
                )
        self._told = {(state.name, state.good_until) for state in overdue}

    def _tick(self, monitor: Monitor) -> asyncio.Task[Probe] | None:
        """Run one probe for the schedule, and move the next one where it must come sooner or later than usual. A check
        that is paused is not probed, nor one that another replica runs in time."""
        if self._board.check(monitor.name).covered("pause") is not None:
            return None
        if (left := self._left_to_others(monitor.name)) is not None:
            if left < monitor.config.interval:  # then it is this one's, should nothing have come by then
                self._schedule.next_in(left, monitor.name)
            return None
        if (left := self._driver_may_come(monitor)) > 0:
            self._schedule.next_in(left, monitor.name, jitter=0)
            return None
        flight = monitor.begin()
        if flight is None:
            self._pace(monitor)
        else:
            flight.add_done_callback(lambda _: self._pace(monitor))
        return flight

    def _pace(self, monitor: Monitor) -> None:
        if self._monitors.get(monitor.name) is not monitor:  # the next run is the new monitor's
            return
        if (pause := monitor.pause) != monitor.config.interval:
            self._schedule.next_in(pause, monitor.name)
        self._look_in_time(monitor)

    def _look_in_time(self, monitor: Monitor) -> None:
        """Move the next run to the time at which the last result changes by itself, if that is sooner."""
        if self._monitors.get(monitor.name) is monitor and (soon := monitor.changes_in) < monitor.pause:
            self._schedule.next_in(soon, monitor.name, jitter=0.0)

    def _left_to_others(self, name: str) -> float | None:
        """Return the seconds for which another replica may still be trusted to run a check; None also after a fault of
        what decides that, so that the check is run here."""
        try:
            return self.elsewhere(name)
        except Exception:
            _log.exception("not known who runs a check, it is run here", check=name)
            return None

    def _driver_may_come(self, monitor: Monitor) -> float:
        """Return the seconds for which a check may still wait for its driver before that is a finding."""
        if not isinstance(unloaded := monitor.check, UnloadedCheck):
            return 0.0
        return unloaded.since + _PATIENCE - self._clock.steady()

    async def _load(self, monitors: Sequence[Monitor]) -> None:
        """Build checks of one kind, which waited for its driver, and run them."""
        for monitor in monitors:
            if isinstance(unloaded := monitor.check, UnloadedCheck):
                build = partial(self._bear, unloaded.config, unloaded.context)
                try:
                    monitor.check = await in_daemon_thread(build, name=f"load {monitor.config.kind}")
                finally:
                    unloaded.built.set()
                if self._monitors.get(monitor.name) is monitor:
                    self._schedule.next_in(0.0, monitor.name)

    def _build(self, name: str, config: CheckConfig) -> Monitor:
        monitor = Monitor(
            name,
            config,
            self._bear_or_wait(config, self._context(name)),
            board=self._board,
            clock=self._clock,
            redact=self._redact,
            listener=self._listener,
        )
        checks, replica = self._shared
        monitor.replica = replica if name in checks else None
        return monitor

    def _context(self, name: str) -> CheckContext:
        return CheckContext(name, self._clock, self._environ, self._heartbeats)

    def _bear_or_wait(self, config: CheckConfig, context: CheckContext) -> Check:
        if CHECKS.lacks_driver(config.kind) and not isinstance(config, MisconfiguredConfig):
            return UnloadedCheck(config, context)
        return self._bear(config, context)

    def _bear(self, config: CheckConfig, context: CheckContext) -> Check:
        """Build the check of a configuration. A check that cannot be built fails alone: the others must run."""
        if isinstance(config, MisconfiguredConfig):
            return Misconfigured(config, context)
        try:
            return find_kind(config.kind)(config, context)
        except ImportError as error:
            broken = BrokenCheck(why_not_loaded(config.kind, error))
        except (Exception, SystemExit) as error:
            broken = BrokenCheck(f"cannot be built: {describe(error)}")
        _log.error("check cannot be built", check=context.name, reason=self._redact(broken.message))
        return broken
