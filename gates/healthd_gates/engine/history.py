"""Fetches the numbers before the switch while the gate already evaluates: no outage waits for three hours of
numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from healthd.checks.failures import describe
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.config.observed import ReadSource
from healthd_gates.domain.evidence import Evidence, Stream
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.source_readers import Past, SourceReaders, together
from healthd_gates.sources.contract import HistoricalSource, Source, SourceUnavailable
from healthd_gates.store.gate_store import GateStore

BEFORE = timedelta(hours=3)
_STEP = 30.0  # seconds; the judge needs no finer history, and a gate stores the history that it was judged by
_TRIES = 3
_SECONDS = 30.0
_PAUSE = 2.0
_log = structlog.get_logger(__name__)


def history_step(every: float) -> float:
    """Return the length of the intervals of the history."""
    return max(_STEP, every)


def as_baseline(past: list[Evidence]) -> list[Evidence]:
    """Return the history with the version that ran before the switch as the baseline, even if no other version ran
    beside it."""
    return [
        replace(
            interval,
            baseline=interval.baseline or interval.candidate,
            streams={name: _alone(stream) for name, stream in interval.streams.items()},
        )
        for interval in past
    ]


def _alone(stream: Stream) -> Stream:
    return replace(stream, baseline=stream.baseline or stream.candidate)


def merged(pasts: Sequence[tuple[ReadSource, list[Evidence]]]) -> list[Evidence]:
    """Return the histories of several sources as one, interval by interval."""
    at: dict[datetime, list[tuple[ReadSource, Evidence]]] = {}
    for what, past in pasts:
        for interval in past:
            at.setdefault(interval.at, []).append((what, interval))
    whole = (together(at[moment]) for moment in sorted(at))
    return [interval for interval in whole if interval is not None]


class HistoryFetch:
    """The pending fetch of one gate's history."""

    def __init__(self, sources: Sequence[Past], start: datetime, every: float, gate_id: str) -> None:
        self._sources, self._start, self._step, self._gate_id = sources, start, history_step(every), gate_id
        self._task: asyncio.Task[list[Evidence]] | None = asyncio.create_task(self._fetch(), name=f"history:{gate_id}")

    def take(self) -> list[Evidence] | None:
        """Return the history, once, when it is there. Empty if there is none."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _fetch(self) -> list[Evidence]:
        """Fetch the history of all sources."""
        pasts = await asyncio.gather(*(self._fetch_one(each.build) for each in self._sources))
        return as_baseline(merged([(each.what, past) for each, past in zip(self._sources, pasts, strict=True)]))

    async def _fetch_one(self, build: Callable[[], Source]) -> list[Evidence]:
        """Fetch the history of one source. Without it the judge is slower, and nothing can be proven against it: only a
        rate below the floor of a comparison is proven safe then."""
        source = build()
        try:
            return await self._try(source)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a source: its bugs must not end a gate
            _log.exception("source failed with an internal error", gate=self._gate_id, error=describe(error))
            return []
        finally:
            await source.close()

    async def _try(self, source: Source) -> list[Evidence]:
        if not isinstance(source, HistoricalSource):
            return []
        for attempt in range(_TRIES):
            try:
                past = source.history(self._start - BEFORE, self._start, self._step)
                return await with_deadline(_SECONDS, past, name="history")
            except (SourceUnavailable, DeadlineExceededError) as outage:
                _log.warning("baseline history not available", gate=self._gate_id, attempt=attempt, problem=str(outage))
                await asyncio.sleep(_PAUSE)
        return []


async def begin_fetch(
    traffic: SourceReaders | None, gate: Gate, every: float, gate_store: GateStore
) -> HistoryFetch | None:
    """Start to fetch the history, unless it is stored: after a restart the gate is judged by the same history. Raises
    JournalError."""
    if traffic is None or not traffic.historical or await gate_store.evidence(gate.id, "history"):
        return None
    return HistoryFetch(traffic.historical, gate.created_at, every, gate.id)
