"""Fetches the numbers before the switch while the gate already evaluates: no outage waits for three hours of
numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from healthd.checks.failures import describe
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.config.observed import ReadSource
from healthd_gates.domain.evidence import Counts, Evidence, Stream
from healthd_gates.domain.gate import Gate, RollbackState
from healthd_gates.engine.source_readers import Past, SourceReaders, together
from healthd_gates.sources.contract import HistoricalSource, Source, SourceUnavailable
from healthd_gates.store.gate_store import GateStore

BEFORE = timedelta(hours=3)
_STEP = 30.0  # seconds; the judge needs no finer history, and a gate stores the history that it was judged by
_GATES = 100  # of the service, among which those of the last hours are
_PUT_BACK_WITHIN = 300.0  # seconds after the gate, by the deploy tool or by hand
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


@dataclass(frozen=True, slots=True)
class BadTime:
    """The time of a gate whose version did not stay. `helped` is True if healthd saw the numbers fine once the traffic
    was back: so it was the release, and not the service."""

    began: datetime
    ended: datetime
    helped: bool

    def covers(self, interval: Evidence) -> bool:
        """Return True if the interval has a part in it."""
        return interval.at > self.began and interval.at - timedelta(seconds=interval.seconds) < self.ended


def without(times: Sequence[BadTime], past: Sequence[Evidence]) -> list[Evidence]:
    """Return the past, oldest interval first, but for what versions did that did not stay.

    Where healthd did not see that it helped to put one back, the past itself must show it: what went on while the
    deploy tool or a person put the traffic back is left out too, and nothing at all if the trouble outlasted the gate
    by minutes, for then it may be the service's own.
    """
    spans = [[place for place, interval in enumerate(past) if time.covers(interval)] for time in times]
    covered, left_out = {place for span in spans for place in span}, set[int]()
    for time, inside in zip(times, spans, strict=True):
        if not inside or time.helped:
            left_out.update(inside)
            continue
        half, end = _share([past[place] for place in inside]) / 2, inside[-1] + 1
        while end < len(past) and end not in covered and _share([past[end]]) > half:
            end += 1
        if (past[end - 1].at - time.ended).total_seconds() <= _PUT_BACK_WITHIN:
            left_out.update(range(inside[0], end))
    return [interval for place, interval in enumerate(past) if place not in left_out]


def _share(intervals: Sequence[Evidence]) -> float:
    """Return the share of failed requests, of both arms and all streams together."""
    streams = [
        stream for each in intervals for stream in (Stream(each.candidate, each.baseline), *each.streams.values())
    ]
    numbers = [arm for stream in streams for arm in (stream.candidate, stream.baseline)]
    arms = [arm for arm in numbers if isinstance(arm, Counts)]
    return sum(arm.errors for arm in arms) / max(1.0, sum(arm.requests for arm in arms))


class HistoryFetch:
    """The pending fetch of one gate's history, but for the `bad_times`: what releases did that did not stay is no
    measure for the next one."""

    def __init__(
        self,
        sources: Sequence[Past],
        start: datetime,
        every: float,
        gate_id: str,
        bad_times: Sequence[BadTime] = (),
    ) -> None:
        self._sources, self._start, self._step, self._gate_id = sources, start, history_step(every), gate_id
        self._bad_times = bad_times
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
        return as_baseline(without(self._bad_times, whole))

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
    bad_times = await _bad_times(gate, gate_store)
    return HistoryFetch(traffic.historical, gate.created_at, every, gate.id, bad_times)


async def _bad_times(gate: Gate, gate_store: GateStore) -> list[BadTime]:
    """Return the times of the service's latest gates whose versions had traffic and did not stay: refused, put back, or
    given up before anybody judged them. Raises JournalError.

    Not those after whose rollback the numbers were not seen to be fine: it may be the service itself.
    """
    page = await gate_store.page(gate.service, (), _GATES, gate.id)
    times = list[BadTime]()
    for each in page.gates:
        state = each.rollback.state if each.rollback is not None else None
        if each.finished_at is None or each.may_stay or state is RollbackState.UNCONFIRMED:
            continue
        if state in _HELPED or each.measured_traffic:
            times.append(BadTime(each.created_at, each.finished_at, helped=state in _HELPED))
    return times
