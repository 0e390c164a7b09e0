"""One evaluation for one gate: the source and the criteria that are answered by themselves, all at once and each with a
timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from healthd.checks.failures import describe
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.criteria.contract import CriterionContext, ObservedCriterion
from healthd_gates.domain.evidence import Evidence, Lives, Observation
from healthd_gates.sources.contract import Cursor, Look, Source, SourceConfig, SourceUnavailable

_log = structlog.get_logger(__name__)
_GRACE = 2.0  # seconds beyond its own timeout after which a source counts as stuck
_CLOSING = 1.0
_SHORTEST = 0.001  # seconds; an interval of no length would be no evidence


class Traffic:
    """A gate's source with a timeout. If it raises or hangs, the evidence has a gap and no more."""

    def __init__(self, build: Callable[[], Source], config: SourceConfig, cursor: Cursor | None) -> None:
        self.build, self._limit, self._is_apart = build, config.timeout + _GRACE, config.is_apart
        self._source = build()
        self.cursor = cursor

    @property
    def source(self) -> Source:
        return self._source

    async def look(self) -> Look:
        """Return the source's numbers since the previous evaluation; with no evidence and no cursor if it has none."""
        try:
            look = await with_deadline(self._limit, self._source.observe(self.cursor), name="source")
        except SourceUnavailable as outage:
            return Look(None, {}, (str(outage),), unasked=outage.is_unasked)
        except DeadlineExceededError as stuck:
            await self._replace(abandoned=stuck.abandoned is not None)
            return Look(None, {}, (stuck.told_of("the source"),), unasked=self._is_apart)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a source: its bugs must not end a gate
            _log.exception("source failed with an internal error", error=describe(error))
            return Look(None, {}, (f"the source failed: {type(error).__name__}",), unasked=True)
        self.cursor = look.cursor
        return look

    @property
    def has_begun(self) -> bool:
        """True if the source has its starting point."""
        return self.cursor is not None

    async def close(self) -> None:
        try:
            await with_deadline(_CLOSING, self._source.close(), name="close-source")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a dead peer may make even this fail
            _log.debug("source not closed cleanly", error=describe(error))

    async def _replace(self, *, abandoned: bool) -> None:
        """Replace the source. One that ignored its cancellation still runs: from now on another one is used."""
        if abandoned:
            await self.close()
            self._source = self.build()


class Question:
    """A criterion that is answered yes or no, with a timeout. If it raises or hangs, the answer is unknown."""

    def __init__(self, criterion: ObservedCriterion, context: CriterionContext, redact: Callable[[str], str]) -> None:
        self._criterion, self._context, self._redact = criterion, context, redact

    async def ask(self) -> Observation:
        """Return the answer. A call that hangs is abandoned: it holds no state that the next one needs."""
        name = self._criterion.name
        try:
            limit = self._criterion.longest + _GRACE
            answer = await with_deadline(limit, self._criterion.observe(self._context), name=f"criterion {name}")
            return Observation(name, answer.ok, self._redact(answer.detail))
        except DeadlineExceededError as stuck:
            return Observation(name, None, stuck.told_of("it"))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a criterion: its bugs must not end a gate
            _log.exception("criterion failed with an internal error", criterion=name, error=describe(error))
            return Observation(name, None, f"it failed: {type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Seen:
    """Result of one evaluation. `evidence` is None if the source has only found its starting point. `notes` and
    `departed` are as in `Look`. `unasked` is true if the source could not be asked, and has not shown before that the
    candidate is silent."""

    evidence: Evidence | None
    notes: tuple[str, ...] = ()
    departed: tuple[str, ...] = ()
    unasked: bool = False


class Reads(Protocol):
    """The sources of one gate."""

    @property
    def has_begun(self) -> bool: ...

    async def look(self) -> Look: ...

    async def close(self) -> None: ...


class Observer:
    """Observes everything that a policy names. `last` is when the previous evaluation ended, or when the gate began."""

    def __init__(
        self,
        traffic: Reads | None,
        questions: Sequence[Question],
        clock: Clock,
        last: datetime,
        lateness: float = 0.0,
    ) -> None:
        """`lateness` is for how many seconds a working source may have nothing new."""
        self._traffic, self._questions, self._clock = traffic, questions, clock
        self._lateness, self._answered_silence = lateness, 0.0
        self._last = clock.steady() - max(0.0, (clock.now() - last).total_seconds())

    async def look(self) -> Seen:
        """Observe once. The evidence covers the time since the previous evaluation, whatever the wall clock did."""
        begun = self._traffic is None or self._traffic.has_begun
        look, answers = await asyncio.gather(self._look_at_traffic(), self._ask())
        now = self._clock.steady()
        seconds, self._last = max(_SHORTEST, now - self._last), now
        if not begun and look is not None and look.evidence is None and look.cursor:
            return Seen(None, look.notes)
        numbers = look.evidence if look else None
        unasked = look is not None and look.unasked
        if numbers is not None and numbers.candidate is not None and numbers.candidate.requests > 0:
            self._answered_silence = 0.0
        elif not unasked:
            self._answered_silence += seconds
        return Seen(
            Evidence(
                at=self._clock.now(),
                seconds=seconds,
                candidate=numbers.candidate if numbers else None,
                baseline=numbers.baseline if numbers else None,
                observations=tuple(answers),
                gaps=numbers.gaps if numbers else int(look is not None),
                resets=numbers.resets if numbers else 0,
                span=numbers.span if numbers else None,
                lives=numbers.lives if numbers else Lives(),
                baseline_lives=numbers.baseline_lives if numbers else Lives(),
                streams=numbers.streams if numbers else {},
            ),
            look.notes if look else (),
            look.departed if look else (),
            unasked and self._answered_silence <= self._lateness,
        )

    async def close(self) -> None:
        if self._traffic is not None:
            await self._traffic.close()

    async def _ask(self) -> Sequence[Observation]:
        return await asyncio.gather(*(question.ask() for question in self._questions))

    async def _look_at_traffic(self) -> Look | None:
        return await self._traffic.look() if self._traffic else None
