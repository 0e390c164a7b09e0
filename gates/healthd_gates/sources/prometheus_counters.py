"""The counters of one set of selectors in a Prometheus-compatible server: the increases of both arms since a stored
position, and in the past. `prometheus.py` says which sets there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from healthd.model import FailureKind
from healthd.units import show_duration
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.strata import Choice
from healthd_gates.sources.arm_look import ArmLook, Standpoint, States, traffic_of
from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Family, Snapshot
from healthd_gates.sources.endpoint import Endpoint, all_of
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.inspection import merely_without_errors, missing_label
from healthd_gates.sources.lives import lives_of, own_starts
from healthd_gates.sources.native_histograms import CustomBucketsError
from healthd_gates.sources.processes import (
    Reading,
    Sign,
    Use,
    is_series,
    process_of,
    read,
    tells_of_requests,
    with_classic,
)
from healthd_gates.sources.prometheus_api import QueryApi, Series
from healthd_gates.sources.selectors import Selector

_LONGEST = 3600.0  # seconds that one query reaches back at most; in a longer gap restarts are not seen
_MEMORY = 3600.0  # seconds before the gate in which a series must have been seen to count as old
_DISCOVERY = 60.0  # seconds after the gate began in which Prometheus may find a process that was there before
_CHUNK = 300.0  # seconds of raw history asked for at a time
_MISSED, _LATE = 3, 5.0  # scrapes, and seconds: a series silent for both when the gate began had stopped

Step = tuple[Counts | None, int]
"""Counts of one arm in one step of its history, and how often counters restarted."""


@dataclass(frozen=True, slots=True)
class CountersConfig:
    """Reading of samples: how late they may be, the labels that distinguish processes, how many units of the
    latencies are a second, and the labels that requests and latencies are split by."""

    lookback: float
    process: Sequence[str]
    latency_per_second: float = 1.0
    by: str | None = None
    latency_by: str | None = None


class CounterReader:
    """The counters of one set of selectors; `selectors` has those of each arm."""

    def __init__(
        self, config: CountersConfig, selectors: Mapping[str, Mapping[Use, Selector]], api: QueryApi, endpoint: Endpoint
    ) -> None:
        self._config, self._selectors, self._api, self._endpoint = config, selectors, api, endpoint

    async def begin(self, at: float) -> dict[str, ArmLook]:
        """Return the position of each arm at the first evaluation."""
        readings = await all_of({name: self._read(name, at, at) for name in self._selectors})
        return {name: ArmLook(None, _start(reading, at)) for name, reading in readings.items()}

    async def look(self, before: Standpoint, at: float) -> dict[str, ArmLook]:
        """Return the counts of each arm since `before`. Raises SourceUnavailable."""
        return await all_of({name: self._look(name, before, at) for name in self._selectors})

    async def past(self, start: float, step: float, steps: int) -> dict[str, list[Step]]:
        """Return the counts of each arm in every step from `start` on. Raises SourceUnavailable."""
        return await all_of({name: self._past(name, start, step, steps) for name in self._selectors})

    async def _read(self, name: str, after: float, until: float) -> Reading:
        """Read one arm's samples, including those that may have come late. Requests are queried first: see
        `processes`."""
        selectors, seconds = self._selectors[name], until - after + self._config.lookback
        first = [use for use in selectors if use in (Family.REQUESTS, Sign.UP)]
        found = await all_of({use: self._api.samples(selectors[use], until, seconds) for use in first})
        rest = [use for use in selectors if use not in found]
        found |= await all_of({use: self._api.samples(selectors[use], until, seconds) for use in rest})
        self._refuse_misnamed(selectors, found)
        config = self._config
        try:
            # Both take long, with many series.
            classic = await asyncio.to_thread(with_classic, found, config.latency_per_second)
            return await asyncio.to_thread(read, classic, config.process, after, config.by, config.latency_by)
        except CustomBucketsError:
            text = f"{selectors[Family.BUCKET]} has custom buckets (NHCB), which are not read: select the classic ones"
            raise self._endpoint.unavailable(FailureKind.MISCONFIGURED, text) from None

    def _refuse_misnamed(self, selectors: Mapping[Use, Selector], found: Mapping[Use, Sequence[Series]]) -> None:
        """Check the selectors. Raises SourceUnavailable if the errors cannot be told from the requests: that is not
        zero errors."""
        errors, requests = selectors.get(Family.ERRORS), selectors[Family.REQUESTS]
        if errors is None or found[Family.ERRORS] or errors.name != requests.name:
            return
        if (wrong := missing_label(errors, [series.labels for series in found[Family.REQUESTS]])) is not None:
            raise self._endpoint.unavailable(FailureKind.MISCONFIGURED, f"errors: {wrong}")

    async def _look(self, name: str, before: Standpoint, at: float) -> ArmLook:
        states, lookback = before.arms.get(name, {}), self._config.lookback
        gap = max(0.0, at - before.at)
        reading = await self._read(name, at - min(gap, _LONGEST), at)
        origins, old = await self._origins(name, reading, states, before.began)
        increase, fresh, after, span = Increase(per_second=self._config.latency_per_second), False, dict(states), 0.0
        for process, snapshots in reading.snapshots.items():
            known = states.get(process) or origins.get(process)
            later = [snapshot for snapshot in snapshots if snapshot.at > (before.began if known is None else known.at)]
            fresh = fresh or tells_of_requests(later)
            if (last := follow(known, own_starts(name, later), increase)) is not None:
                span = max(span, last.at - known.at if known is not None else 0.0)
                after[process] = last
        silent = sum(before.at - lookback <= state.at < at - lookback for state in after.values())
        gaps = old + silent + reading.dropped + (gap > _LONGEST)
        native = await self._native(name, reading, at)
        lives = lives_of(name, increase, after, reading.down, gone_between=(before.at - lookback, at - lookback))
        if not fresh:
            silence = self._silence(name, reading, at, native)
            departed = silence is not None and not (reading.matched or reading.dropped or native)
            return ArmLook(None, states, gaps=gaps, silence=silence, lives=lives, departed=departed)
        notes = (*self._notes(name, reading), *increase.notes, *native)
        return ArmLook(increase.counts(), after, gaps, increase.resets, notes=notes, span=span, lives=lives)

    async def _past(self, name: str, start: float, step: float, steps: int) -> list[Step]:
        states, choice = _last(await self._read(name, start, start)), Choice()
        choice.begin(traffic_of(states))
        past: list[Step] = []
        at_once = max(1, round(_CHUNK / step))
        for first in range(0, steps, at_once):
            count = min(at_once, steps - first)
            begin = start + first * step
            reading = await self._read(name, begin, begin + count * step)
            origins, _ = await self._origins(name, reading, states, start)
            cut = await asyncio.to_thread(
                _cut_up, reading, origins, states, begin, step, count, self._config.latency_per_second
            )
            past += [(choice.fold(counts)[0], resets) for counts, resets in cut]
        return past

    async def _origins(self, name: str, reading: Reading, states: States, began: float) -> tuple[States, int]:
        """Return the snapshots from which new processes count: those that began in the gate start at 0.

        One that began before, or soon after the gate's start says nothing of its age, brings with its first sample what
        it counted before the gate: it counts from there. Old ones that reappear do so as well and are left out; the
        number of them is the second value. The age is what the process itself reports, else whether it has earlier
        samples.
        """
        new = {
            process: found
            for process, found in reading.snapshots.items()
            if process not in states and found[-1].at > began
        }
        young = {process: found[0] for process, found in new.items() if found[0].at > began}
        stated = {process: first.started for process, first in young.items() if first.started is not None}
        old = {process for process, started in stated.items() if started < began - self._config.lookback}
        if young.keys() - stated.keys():
            old |= (await self._existed(name, began) - stated.keys()) & young.keys()
        origins = {process: _origin(process, young[process], began) for process in young.keys() - old}
        return origins, len(old) + len(new) - len(young)

    async def _existed(self, name: str, at: float) -> set[str]:
        """Return the processes that have any sample in the hour before `at`."""
        counters = {use: selector for use, selector in self._selectors[name].items() if isinstance(use, Family)}
        found = await all_of({use: self._api.existed(selector, at, _MEMORY) for use, selector in counters.items()})
        return {process_of(each.labels, self._config.process) for series in found.values() for each in series}

    async def _native(self, name: str, reading: Reading, at: float) -> tuple[str, ...]:
        """Return a note if a metric exists as a native histogram, while its classic series are selected and missing."""
        for use in (Family.REQUESTS, Family.BUCKET):
            selector = self._selectors[name].get(use)
            whole = selector.histogram() if selector is not None and use not in reading.matched else None
            if whole is not None and await self._api.is_native(whole, at, self._config.lookback):
                return (f"{whole.name} is a native histogram, and its classic series are not stored: select {whole}",)
        return ()

    def _silence(
        self, name: str, reading: Reading, at: float, native: tuple[str, ...] = ()
    ) -> SourceUnavailable | None:
        """Return why nothing was counted; None if the next scrape is merely not there yet."""
        if reading.dropped:
            why = f"{reading.dropped} samples are not numbers that a counter can have"
        elif reading.newest >= at - self._config.lookback:
            return None
        elif reading.matched and not reading.snapshots:
            why = "none of its samples is a number that a counter can have"
        elif reading.matched:
            age, most = show_duration(max(1, round(at - reading.newest))), show_duration(self._config.lookback)
            why = f"the newest sample is {age} old, and lookback is {most}: is a clock off?"
        else:
            why = "; ".join((f"no series matches {self._selectors[name][Family.REQUESTS]}", *native))
        return self._endpoint.unavailable(FailureKind.UNEXPECTED_RESPONSE, why)

    def _notes(self, name: str, reading: Reading) -> tuple[str, ...]:
        """Return notes on what may be intended or may be a typing error."""
        selectors = self._selectors[name]
        missing = [use for use in (Family.ERRORS, Family.BUCKET) if use in selectors and use not in reading.matched]
        requests, errors = selectors[Family.REQUESTS], selectors.get(Family.ERRORS)
        if errors is not None and Family.REQUESTS in reading.matched and merely_without_errors(requests, errors):
            missing = [use for use in missing if use is not Family.ERRORS]
        return tuple(f"no series matches {selectors[use]}" for use in missing)


def _cut_up(
    reading: Reading, origins: States, states: States, begin: float, step: float, count: int, per_second: float
) -> list[Step]:
    """Return each of `count` steps from `begin` on; moves `states` to the end of them."""
    increases, told = [Increase(per_second=per_second) for _ in range(count)], set()
    for process, snapshots in reading.snapshots.items():
        for snapshot in snapshots:
            known = states.get(process) or origins.get(process)
            if snapshot.at > begin + count * step or (known is not None and snapshot.at <= known.at):
                continue
            place = max(0, ceil((snapshot.at - begin) / step) - 1)
            if (last := follow(known, [snapshot], increases[place])) is not None:
                states[process] = last
            if tells_of_requests([snapshot]):
                told.add(place)
    return [(each.counts() if i in told else None, each.resets) for i, each in enumerate(increases)]


def _start(reading: Reading, at: float) -> States:
    """Return the snapshot of each process when a gate begins. One whose scrapes had stopped before is left out, since a
    part of its later counts was made before the gate."""
    going = {process: seen for process, seen in reading.snapshots.items() if not _had_stopped(seen, at)}
    return _last(replace(reading, snapshots=going))


def _origin(process: str, first: Snapshot, began: float) -> Snapshot:
    """Return the snapshot from which a process counts that was first seen after the gate began."""
    if first.started is not None:
        before = first.started < began
    else:
        before = first.at < began + _DISCOVERY and not is_series(process)  # the first error makes a series of its own
    return replace(first if before else Snapshot.zero(began), at=began, born=first.at)


def _had_stopped(seen: Sequence[Snapshot], at: float) -> bool:
    if len(seen) < 2:
        return False
    return at - seen[-1].at > max(_LATE, _MISSED * (seen[-1].at - seen[0].at) / (len(seen) - 1))


def _last(reading: Reading) -> States:
    """Return the last snapshot of each process after a reading, with nothing counted."""
    nothing = Increase()
    ends = {process: follow(None, snapshots, nothing) for process, snapshots in reading.snapshots.items()}
    return {process: last for process, last in ends.items() if last is not None}
