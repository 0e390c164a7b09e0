"""Fetches the numbers before the switch while the gate already evaluates: no outage waits for three hours of
numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from healthd.checks.failures import describe
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.config.observed import ReadSource
from healthd_gates.domain.evidence import Evidence, Stream
from healthd_gates.domain.gate import Gate, RollbackState
from healthd_gates.engine.source_readers import Past, SourceReaders, together
from healthd_gates.sources.contract import HistoricalSource, Source, SourceUnavailable
from healthd_gates.store.gate_store import GateStore

BEFORE = timedelta(hours=3)
_STEP = 30.0  # seconds; the judge needs no finer history, and a gate stores the history that it was judged by
_GATES = 100  # of the service, among which those of the last hours are
_HELPED = (RollbackState.ROLLED_BACK, RollbackState.UNSEEN)
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


def without(spans: Sequence[tuple[datetime, datetime]], past: Iterable[Evidence]) -> list[Evidence]:
    """Return the intervals that have no part in any of the spans."""

    def is_inside(interval: Evidence) -> bool:
        began = interval.at - timedelta(seconds=interval.seconds)
        return any(interval.at > first and began < last for first, last in spans)

    return [interval for interval in past if not is_inside(interval)]


class HistoryFetch:
    """The pending fetch of one gate's history, but for the time `rolled_back`: what releases did that were blamed for
    it, and put back with success, is no measure for the next one."""

    def __init__(
        self,
        sources: Sequence[Past],
        start: datetime,
        every: float,
        gate_id: str,
        rolled_back: Sequence[tuple[datetime, datetime]] = (),
    ) -> None:
        self._sources, self._start, self._step, self._gate_id = sources, start, history_step(every), gate_id
        self._rolled_back = rolled_back
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
        whole = merged([(each.what, past) for each, past in zip(self._sources, pasts, strict=True)])
        return as_baseline(without(self._rolled_back, whole))

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
    rolled_back = await _rolled_back(gate, gate_store)
    return HistoryFetch(traffic.historical, gate.created_at, every, gate.id, rolled_back)


async def _rolled_back(gate: Gate, gate_store: GateStore) -> list[tuple[datetime, datetime]]:
    """Return the times of the service's latest gates after whose rollback the numbers were seen to be fine: so it was
    the release, and not the service. Raises JournalError."""
    page = await gate_store.page(gate.service, (), _GATES, gate.id)
    return [
        (each.created_at, each.finished_at)
        for each in page.gates
        if each.rollback is not None and each.rollback.state in _HELPED and each.finished_at is not None
    ]
