"""Monitor of one check: a probe under a hard deadline → Result → rise and fall → the board → the listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from healthd.checks.contract import Check, CheckConfig
from healthd.checks.failures import classify, describe, explain_late
from healthd.model import FailureKind, Probe, Result, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.debounce import Debounce
from healthd.monitoring.state import CheckState
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd.runtime.lookups import remark
from healthd.runtime.redaction import Redactor

_log = structlog.get_logger(__name__)
CLOSING = 0.1  # seconds that a check gets to drop its connections
_BRIEFLY = 0.05  # seconds; a limit may pass a little after the timer for it
LONGEST_MESSAGE = 500  # characters
LONGEST_QUIET = 900.0  # seconds; a dependency that asks for a pause of a day is probed sooner anyway


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks for probes and transitions: plain calls that must neither block nor fail."""

    probed: Callable[[str, CheckConfig, Probe], None]
    changed: Callable[[Transition, CheckConfig], None]


def quiet_after(result: Result) -> float:
    """Return the seconds for which a dependency has asked not to be probed."""
    return min(max(result.retry_after or 0.0, 0.0), LONGEST_QUIET)


class RetiredError(LookupError):
    """The check was removed or changed while it was being probed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"check {name!r} was removed or changed while it was being probed")


class Monitor:
    """Runs one check and stores its state on the board. At most one probe is in progress, however many callers ask."""

    def __init__(
        self,
        name: str,
        config: CheckConfig,
        check: Check,
        *,
        board: Board,
        clock: Clock,
        redact: Redactor,
        listener: Listener,
    ) -> None:
        self.name, self.config, self.check = name, config, check
        self._board, self._clock, self._redact, self._listener = board, clock, redact, listener
        self._debounce = Debounce(config.fall, config.rise)
        self._flight: asyncio.Task[Probe] | None = None
        self._abandoned: asyncio.Task[object] | None = None
        self._last: Probe | None = None
        self._quiet_until, self._changes_at = float("-inf"), float("inf")
        self._was_late = self._retired = False
        self.replica: str | None = None
        """Name of this replica, where several run the check for each other."""

    def begin(self) -> asyncio.Task[Probe] | None:
        """Return the probe in progress, or start one; None while the dependency has asked for a pause. Raises
        RetiredError."""
        if self._retired:
            raise RetiredError(self.name)
        if self._flight is None or self._flight.done():
            if self._last is not None and self._clock.steady() < self._quiet_until:
                return None
            self._flight = asyncio.create_task(self._probe_and_record(), name=f"probe:{self.name}")
        return self._flight

    async def run(self) -> Probe:
        """Probe now, or join the probe in progress. While the dependency has asked for a pause, return the last probe.
        Raises RetiredError."""
        flight = self.begin()
        if flight is None:
            assert self._last is not None
            return self._last
        await asyncio.wait({flight})  # a caller that is cancelled does not cancel the probe
        if flight.cancelled():
            raise RetiredError(self.name)
        return flight.result()

    def retire(self) -> None:
        """Keep any further result off the board; a probe in progress is cancelled."""
        self._retired = True
        if self._flight is not None:
            self._flight.cancel()

    def adopt(self, state: CheckState) -> CheckState:
        """Go on from what another replica found, and return it as it is to be shown."""
        self._debounce.status, self._debounce.streak = state.status, 0
        return state

    def go_on_from(self, before: Monitor) -> None:
        """Count failures and successes in a row on from those of a monitor of the same check."""
        self._debounce.status, self._debounce.streak = before._debounce.status, before._debounce.streak

    async def close(self) -> None:
        self.retire()
        await self._drop_connections()

    @property
    def pause(self) -> float:
        """Seconds until the next probe should start."""
        usual = self.config.recheck_interval if self._debounce.settling else self.config.interval
        return max(usual, self._quiet_until - self._clock.steady())

    @property
    def changes_in(self) -> float:
        """Seconds until the last result changes by itself; infinite if it does not."""
        return max(self._changes_at - self._clock.steady(), _BRIEFLY)

    async def _probe_and_record(self) -> Probe:
        start = self._clock.steady()
        result = await self._look()
        end = self._clock.steady()
        self._last = probe = Probe(self._clock.now(), end - start, self._presentable(result))
        self._quiet_until = end + quiet_after(result)
        self._changes_at = end + result.changes_in if result.changes_in is not None else float("inf")
        if not self._retired:
            self._listener.probed(self.name, self.config, probe)
            self._show(probe, end)
        if self._was_late:  # only now: a result must not wait until a dead connection is closed
            await self._drop_connections()
        return probe

    async def _look(self) -> Result:
        """Return the result of one probe. The only place that catches everything that a driver raises."""
        self._was_late = False
        if self._abandoned is not None and not self._abandoned.done():
            return Result.unhealthy(FailureKind.TIMEOUT, "the probe before this one still has not returned")
        try:
            return await with_deadline(self.config.timeout, self._probe(), name=f"look:{self.name}")
        except DeadlineExceededError as late:
            self._was_late, self._abandoned = True, late.abandoned
            return Result.unhealthy(classify(late), str(late))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return Result.unhealthy(classify(error), describe(error))

    async def _probe(self) -> Result:
        """Return what the check finds; but of a timeout during a name lookup that the name was not resolved, and of
        what takes too long how slowly it was."""
        try:
            result = await self.check.probe()
        except TimeoutError as late:
            result = Result.unhealthy(classify(late), describe(late))
        if not isinstance(result, Result):
            raise TypeError(f"the probe returned {type(result).__name__}, not a Result")
        if result.kind is FailureKind.TIMEOUT:
            kind, message = explain_late(result.message)
            return replace(result, kind=kind, message=message)
        if result.kind is FailureKind.THRESHOLD:
            return replace(result, message=f"{result.message}{remark()}")
        return result

    def _presentable(self, result: Result) -> Result:
        """Redact a result, and limit its size to fit an alert: a driver may quote a whole page in its message."""
        message = self._redact(result.message).encode(errors="replace").decode()  # a path need not be UTF-8
        if len(message) > LONGEST_MESSAGE:
            message = message[:LONGEST_MESSAGE] + "…"
        measures = tuple(replace(each, name=self._redact(each.name)) for each in result.measures)
        observed = self._redact.deeply(dict(result.observed))
        return replace(result, message=message, observed=observed, measures=measures)

    async def _drop_connections(self) -> None:
        try:
            await with_deadline(CLOSING, self.check.close(), name=f"close:{self.name}")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a dead peer may make even this fail; the next probe opens a new connection
            _log.debug("connections not closed cleanly", check=self.name, error=self._redact(describe(error)))

    def _show(self, probe: Probe, end: float) -> None:
        before = self._board.check(self.name)
        if before.overdue:
            self._debounce.forget()
        status = self._debounce.observe(probe.result.status)
        changed = status is not before.status
        self._board.put(
            replace(
                before,
                status=status,
                since=probe.at if changed else before.since,
                probe=probe,
                last_healthy=probe.at if probe.result.status.is_up else before.last_healthy,
                good_until=max(end, self._quiet_until) + self.config.fresh_for,
                covers=(),
                up_since=probe.at if status.is_up and not before.status.is_up else before.up_since,
                held_by=None,
                replica=self.replica,
                elsewhere=False,
                contrary=self._debounce.streak,
                earlier=False,
            )
        )
        if changed:
            self._listener.changed(Transition(self.name, before.status, status, probe.at, probe), self.config)
