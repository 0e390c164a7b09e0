"""One look for one gate: the source, the checks and the smoke requests, all at once and each within its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from healthd.checks.failures import describe
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.domain.evidence import Evidence, Lives, Observation
from healthd_gates.engine.smoke_and_checks import SmokeTest
from healthd_gates.sources.contract import Cursor, Look, Source, SourceUnavailable

_log = structlog.get_logger(__name__)
_GRACE = 2.0  # seconds beyond its own timeout after which a source counts as stuck
_CLOSING = 1.0
_SHORTEST = 0.001  # seconds; an interval of no length would be no evidence


class Traffic:
    """A gate's source behind a deadline. What it raises, and when it hangs, is a gap in the evidence and no more."""

    def __init__(self, build: Callable[[], Source], timeout: float, cursor: Cursor | None) -> None:
        self.build, self._limit = build, timeout + _GRACE
        self._source = build()
        self.cursor = cursor

    @property
    def source(self) -> Source:
        return self._source

    async def look(self) -> Look:
        """What the source saw since the look before; with no evidence and no cursor when it saw nothing."""
        try:
            look = await with_deadline(self._limit, self._source.observe(self.cursor), name="source")
        except SourceUnavailable as outage:
            return Look(None, {}, (str(outage),))
        except DeadlineExceededError as stuck:
            await self._replace(abandoned=stuck.abandoned is not None)
            return Look(None, {}, (f"the source gave {stuck}",))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a source: its bugs must not end a gate
            _log.exception("a source failed in a way that it should not", error=describe(error))
            return Look(None, {}, (f"the source failed: {type(error).__name__}",))
        self.cursor = look.cursor
        return look

    async def close(self) -> None:
        try:
            await with_deadline(_CLOSING, self._source.close(), name="close-source")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a dead peer may make even this fail
            _log.debug("a source did not close cleanly", error=describe(error))

    async def _replace(self, *, abandoned: bool) -> None:
        """One that ignored its cancellation still runs: from now on another one looks."""
        if abandoned:
            await self.close()
            self._source = self.build()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look gave. `evidence` is None where the source has only found its starting point."""

    evidence: Evidence | None
    notes: tuple[str, ...] = ()


class Observer:
    """Looks at everything that a policy names. `last` is when the look before ended, or when the gate began."""

    def __init__(
        self,
        traffic: Traffic | None,
        checks: Callable[[], Sequence[Observation]],
        smoke: Sequence[SmokeTest],
        clock: Clock,
        last: datetime,
    ) -> None:
        self._traffic, self._checks, self._smoke, self._clock = traffic, checks, smoke, clock
        self._last = clock.steady() - max(0.0, (clock.now() - last).total_seconds())

    async def look(self) -> Seen:
        """Look once. The evidence is of the time since the look before, whatever the clock on the wall did."""
        begun = self._traffic is None or self._traffic.cursor is not None
        look, answers = await asyncio.gather(self._look_at_traffic(), self._send_smoke_requests())
        now = self._clock.steady()
        seconds, self._last = max(_SHORTEST, now - self._last), now
        if not begun and look is not None and look.evidence is None and look.cursor:
            return Seen(None, look.notes)
        numbers = look.evidence if look else None
        return Seen(
            Evidence(
                at=self._clock.now(),
                seconds=seconds,
                candidate=numbers.candidate if numbers else None,
                baseline=numbers.baseline if numbers else None,
                observations=(*self._checks(), *answers),
                gaps=numbers.gaps if numbers else int(look is not None),
                resets=numbers.resets if numbers else 0,
                span=numbers.span if numbers else None,
                lives=numbers.lives if numbers else Lives(),
                baseline_lives=numbers.baseline_lives if numbers else Lives(),
            ),
            look.notes if look else (),
        )

    async def close(self) -> None:
        if self._traffic is not None:
            await self._traffic.close()

    async def _send_smoke_requests(self) -> Sequence[Observation]:
        return await asyncio.gather(*(test.ask() for test in self._smoke))

    async def _look_at_traffic(self) -> Look | None:
        return await self._traffic.look() if self._traffic else None
