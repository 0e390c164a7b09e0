"""The series that criteria name of their own, in a Prometheus-compatible server: counters by selectors, values by any
PromQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite

from healthd_gates.domain.evidence import Counts, Events, Numbers, Stream, Values
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import Arm, Arms, Series
from healthd_gates.sources.counters import Family
from healthd_gates.sources.endpoint import Endpoint, all_of
from healthd_gates.sources.own_series import Position, SeriesLook
from healthd_gates.sources.processes import Sign, Use
from healthd_gates.sources.prometheus_api import QueryApi
from healthd_gates.sources.prometheus_counters import CounterReader, CountersConfig, Step
from healthd_gates.sources.promql import Expression, selector_of
from healthd_gates.sources.selector_texts import checked_counter
from healthd_gates.sources.selectors import Selector

_USES: Mapping[str, Use] = {
    "of": Family.REQUESTS,
    "bad": Family.ERRORS,
    "good": Family.ERRORS,
    "requests": Family.REQUESTS,
    "up": Sign.UP,
}


def check(series: Series) -> None:
    """Check the text of a criterion's series. Raises ValueError, which names the part."""
    for part, text in series.parts.items():
        try:
            if series.shape == "values":
                Expression.parse(text)
            elif part == "up":
                Selector.parse(text)
            else:
                checked_counter(Selector.parse(text))
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from None


def check_arms(series: Series, arms: Arms) -> None:
    """Raise ArmError if an arm lacks a value for a placeholder."""
    for name, arm in arms.named().items():
        for text in series.parts.values():
            Expression(text).fill(name, arm)


def tells_apart(series: Series) -> bool:
    """True if any part of it depends on the arm."""
    return any(Expression(text).tells_apart for text in series.parts.values())


def selectors_of(series: Series, up: Selector | None) -> dict[Use, Selector]:
    """Return the selectors of a criterion's counters. Without requests its events take their place, so that the
    source's own `up` shows that none happened."""
    parts = {part: Selector.parse(text) for part, text in series.parts.items()}
    uses = {_USES[part]: selector for part, selector in parts.items() if part != "events"}
    if (events := parts.get("events")) is not None:
        uses[Family.ERRORS if Family.REQUESTS in uses else Family.REQUESTS] = events
        if up is not None:
            uses.setdefault(Sign.UP, up)
    return uses


class CountedSeries:
    """The counters of one criterion."""

    def __init__(
        self, series: Series, up: Selector | None, config: CountersConfig, arms: Arms, api: QueryApi, endpoint: Endpoint
    ) -> None:
        self._series, self._lookback = series, config.lookback
        written = selectors_of(series, up)
        filled = {
            name: {use: selector.fill(name, arm) for use, selector in written.items()}
            for name, arm in arms.named().items()
        }
        self._reader = CounterReader(config, filled, api, endpoint)
        self._has_whole = "requests" in series.parts

    async def look(self, position: Position | None, now: datetime) -> SeriesLook:
        at = now.timestamp()
        if position is None:
            first = combined(await self._reader.begin(at), now, None)
            return SeriesLook(None, first.cursor, first.notes, first.departed)
        before = Standpoint.from_json(position)
        arms = await self._reader.look(before, at)
        look = combined(arms, now, before)
        assert look.evidence is not None
        found = {name: self._numbers(arm.counts, self._instances(arm, at)) for name, arm in arms.items()}
        evidence = look.evidence
        stream = Stream(found["candidate"], found.get("baseline"), evidence.gaps, evidence.resets, evidence.span)
        return SeriesLook(stream, look.cursor, look.notes, look.departed)

    async def past(self, start: float, step: float, steps: int) -> list[Stream]:
        arms = await self._reader.past(start, step, steps)
        nothing: list[Step] = [(None, 0)] * steps
        pairs = zip(arms["candidate"], arms.get("baseline", nothing), strict=True)
        return [Stream(self._numbers(own, None), self._numbers(other, None)) for (own, _), (other, _) in pairs]

    async def inspect(self, at: float) -> None:
        await self._reader.begin(at)

    def _instances(self, arm: ArmLook, at: float) -> int:
        return sum(state.at >= at - self._lookback for state in arm.states.values())

    def _numbers(self, counts: Counts | None, instances: int | None) -> Numbers | None:
        if counts is None:
            return None
        if self._series.shape == "counts":
            return Counts(counts.requests, counts.errors)
        if self._has_whole:
            return Events(counts.errors, counts.requests, instances)
        return Events(counts.requests, None, instances)


class MeasuredSeries:
    """The value of one criterion: the newest sample of each series of a selector, or what an expression gives."""

    def __init__(self, series: Series, lookback: float, arms: Arms, api: QueryApi) -> None:
        self._api, self._lookback = api, lookback
        text = series.parts["value"]
        self._plain = selector_of(text)
        self._expression = Expression.parse(text)
        self._arms: Mapping[str, Arm] = arms.named()
        self._queries = {name: self._expression.fill(name, arm) for name, arm in self._arms.items()}

    async def look(self, position: Position | None, now: datetime) -> SeriesLook:
        at = now.timestamp()
        seen: Mapping[str, float] = position["newest"] if position is not None else {}
        found = await all_of({name: self._newest(name, at, seen.get(name, 0.0)) for name in self._arms})
        newest = {name: time for name, (_, time) in found.items()}
        notes = {name: f"{name}: {self._queries[name]} has no value" for name, (_, time) in found.items() if not time}
        stream = Stream(found["candidate"][0], found["baseline"][0] if "baseline" in found else None)
        return SeriesLook(
            stream, {"newest": newest}, tuple(notes.values()), (notes["baseline"],) if "baseline" in notes else ()
        )

    async def past(self, start: float, step: float, steps: int) -> list[Stream]:
        arms = await all_of(
            {
                name: self._api.evaluate_past(query, start, step, steps, self._lookback)
                for name, query in self._queries.items()
            }
        )
        nothing = list[list[float]]([[]] * steps)
        pairs = zip(arms["candidate"], arms.get("baseline", nothing), strict=True)
        return [Stream(_values(own), _values(other)) for own, other in pairs]

    async def inspect(self, at: float) -> None:
        await all_of({name: self._newest(name, at, 0.0) for name in self._arms})

    async def _newest(self, name: str, at: float, seen: float) -> tuple[Values | None, float]:
        """Return the values that are newer than `seen`, and their time; 0 if there is none at all."""
        if self._plain is None:
            values = await self._api.evaluate(self._queries[name], at, self._lookback)
            found = _values(values)
            return found, at if found else 0.0
        series = await self._api.samples(self._plain.fill(name, self._arms[name]), at, self._lookback)
        last = [each.samples[-1] for each in series if each.samples]
        found = _values([value for _, value in last])
        newest = max((time for time, _ in last), default=0.0)
        return (found if newest > seen else None), newest if found else 0.0


def _values(values: Sequence[float]) -> Values | None:
    """Return those that are numbers, None if there are none."""
    finite = tuple(value for value in values if isfinite(value))
    return Values(finite) if finite else None
