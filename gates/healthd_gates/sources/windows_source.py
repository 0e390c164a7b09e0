"""Evidence from closed windows of counts: each window is counted once, when it no longer changes.

A window is known when something arrived in it: requests, or what `up` counts. Windows of which nothing is known are no
telemetry; they are asked for again, so that what arrives late is counted, until a later window is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil, inf

from healthd.model import FailureKind
from healthd.units import show_duration
from healthd_gates.domain.evidence import Evidence, Numbers, Stream
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import Arms, Cursor, Look, Series, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import ArmInspection, Inspection
from healthd_gates.sources.own_series import SeriesLook, with_streams
from healthd_gates.sources.window_counts import (
    NOTHING,
    Asked,
    Found,
    counts_of,
    from_start,
    numbers_of,
    parts_of,
    unseen,
)
from healthd_gates.sources.windows import Query, Span, WindowsConfig

_LONGEST = 3 * 3600  # seconds that one evaluation reaches back at most
_BETWEEN = 15.0  # seconds after which a server of one's own is asked whether it is there
_INSPECTED = 600  # seconds that an inspection shows to people, and no fewer windows than this
_INSPECTED_WINDOWS = 3
_TELLING = 1000  # requests of which at least one fails, as a rule


class WindowsSource(ABC):
    """One gate's reader of closed windows."""

    def __init__(self, config: WindowsConfig, arms: Arms, context: SourceContext) -> None:
        self._windows, self._clock, self._arms = config, context.clock, arms.named()
        self._edges = config.edges_under(context.edges) or ()
        self._series = context.series
        self._own = {name: self._asked_of(name) for name in self._arms}
        self._streams = {each.stream: {name: self._asked(each, name) for name in self._arms} for each in self._series}

    @abstractmethod
    async def ask(self, queries: Sequence[Query], span: Span) -> Found:
        """Return the numbers of each query's windows. Raises SourceUnavailable."""

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        at = now.timestamp()
        closed = self._windows.closed_by(at)
        if since is None:
            await self._find(Span(closed - self._length, closed, self._length))
            first = combined({name: ArmLook(None, {}) for name in self._arms}, now, None)
            start = self._windows.first_after(at)
            place = {"next": dict.fromkeys(self._arms, start), "heard": at}
            streams = {stream: {"next": dict.fromkeys(self._arms, start)} for stream in self._streams}
            return replace(first, cursor={**first.cursor, **place, "asked": start, "streams": streams})
        places = [since["next"], *(since["streams"].get(stream, since)["next"] for stream in self._streams)]
        start = min(next_ for place in places for next_ in place.values())
        start = max(start, closed - max(_LONGEST // self._length, 1) * self._length)
        is_due = closed > since["asked"] and start < closed
        span = Span(start, closed if is_due else start, self._length)
        found = await self._find(span) if is_due else {}
        tried, outage = (at, ()) if is_due else await self._tried(since, at, closed)
        look = self._look({**since, "tried": tried}, now, span, found, closed if is_due else since["asked"])
        return replace(look, notes=(*outage, *look.notes))

    async def _tried(self, since: Cursor, at: float, closed: int) -> tuple[float, tuple[str, ...]]:
        """Return when an answer was last there, and the outage if there is none now; between windows one query is
        asked, where that costs nothing. Such an outage is no gap in the evidence: no window was due."""
        tried: float = since.get("tried", since["began"])
        if not self._windows.asks_between or 0 <= at - tried < _BETWEEN:
            return tried, ()
        try:
            await self.ask(self._queries[:1], Span(closed - self._length, closed, self._length))
        except SourceUnavailable as outage:
            return tried, (str(outage),)
        return at, ()

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        """Return the evidence of every `step` seconds from `start` on, or of every window where these are longer."""
        per_step = ceil(step / self._length)
        length = per_step * self._length
        begin = int(start.timestamp()) // self._length * self._length
        last = min(int(end.timestamp()), self._windows.closed_by(self._clock.now().timestamp()))
        steps = max(0, (last - begin) // length)
        found = await self._find(Span(begin, begin + steps * length, self._length)) if steps else {}
        past = list[Evidence]()
        for place in range(steps):
            span = Span(begin + place * length, begin + (place + 1) * length, self._length)
            arms = {name: counts_of(asked, found, span, self._edges)[0] for name, asked in self._own.items()}
            streams = {each.stream: self._past(each, found, span) for each in self._series}
            ended = start + timedelta(seconds=length * (place + 1))
            past.append(Evidence(ended, length, arms["candidate"], arms.get("baseline"), streams=streams))
        return past

    async def inspect(self) -> Inspection:
        """Return the newest windows."""
        at = self._clock.now().timestamp()
        closed = self._windows.closed_by(at)
        seconds = max(_INSPECTED // self._length, _INSPECTED_WINDOWS) * self._length
        span = Span(closed - seconds, closed, self._length)
        found = await self._find(span)
        arms, doubtful = dict[str, ArmInspection](), list[str]()
        for name, asked in self._own.items():
            counts, last = counts_of(asked, found, span, self._edges)
            numbers = dict[str, float]()
            for each in self._series:
                own = self._streams[each.stream][name]
                for part, query in parts_of(each, own):
                    windows = found.get(query, NOTHING)
                    if windows:
                        numbers[f"{each.stream}.{part}"] = (
                            sum(windows.values()) if query.counts else windows[max(windows)]
                        )
                    else:
                        doubtful.append(f"{name}: {each.stream}.{part}: nothing in {show_duration(seconds)}")
            newest = at - last if last is not None else None
            edges = (*self._edges, inf) if self._edges else ()
            arms[name] = ArmInspection({}, newest, self._windows.window, edges, counts, float(seconds), numbers)
            if asked.whole is not None and counts is None:
                ago = show_duration(round(at - closed))
                hint = self._windows.silence_hint
                text = f"{name}: nothing arrived in the {show_duration(seconds)} that ended {ago} ago"
                doubtful.append(f"{text}: {hint}" if hint else text)
        counted = [arm.counts for arm in arms.values() if arm.counts is not None]
        requests = sum(counts.requests for counts in counted)
        if requests >= _TELLING and not any(counts.errors for counts in counted):
            doubtful.append(
                f"errors: none of {requests:,.0f} requests in {show_duration(seconds)}: either none failed, or `errors`"
                " does not find what fails"
            )
        return Inspection(arms, doubtful=tuple(doubtful))

    @property
    def _length(self) -> int:
        return int(self._windows.window)

    async def _find(self, span: Span) -> Found:
        return await self.ask(self._queries, span) if self._queries else {}

    @property
    def _queries(self) -> tuple[Query, ...]:
        every = [asked for own in (self._own, *self._streams.values()) for asked in own.values()]
        return tuple(dict.fromkeys(query for asked in every for query in asked.queries))

    def _look(self, since: Cursor, now: datetime, span: Span, found: Found, asked: int) -> Look:
        at, before = now.timestamp(), Standpoint.from_json(since)
        arms, next_, heard = dict[str, ArmLook](), dict(since["next"]), since["heard"]
        for name, own in self._own.items():
            counts, last = counts_of(own, found, from_start(span, next_[name]), self._edges)
            missed = unseen(own, found, from_start(span, next_[name]), last)
            arms[name] = ArmLook(counts, {}, missed)
            if last is not None:
                next_[name], heard = last, at
        quiet = at - heard
        if self._windows.texts and quiet > self._windows.lateness:
            text = f"nothing arrived for {show_duration(round(quiet))}"
            if self._windows.up is None:
                text += ": name `up`, which tells no traffic from no telemetry"
            silence = SourceUnavailable(FailureKind.TIMEOUT, text)
            arms = {name: replace(arm, silence=silence) if arm.counts is None else arm for name, arm in arms.items()}
        streams = {each.stream: self._stream(each, since, found, span) for each in self._series}
        cursor = {"next": next_, "heard": heard, "asked": asked, "tried": since["tried"]}
        main = self._main(arms, now, before, cursor)
        return with_streams(main, streams, {**since, **cursor, "at": at}, now)

    def _main(self, arms: Mapping[str, ArmLook], now: datetime, before: Standpoint, cursor: Cursor) -> Look:
        """Return the service's own numbers. Silence is evidence of nothing, with a cursor that says up to when was
        asked: until a further window is over nothing new can be there."""
        notes: tuple[str, ...] = ()
        if self._windows.texts:
            try:
                look = combined(arms, now, before)
                return replace(look, cursor={**look.cursor, **cursor})
            except SourceUnavailable as outage:
                notes = (str(outage),)
        seconds = max(now.timestamp() - before.at, 0.001)
        stands = Standpoint(before.began, now.timestamp(), {}).to_json()
        return Look(Evidence(now, seconds, gaps=len(notes)), {**stands, **cursor}, notes)

    def _stream(self, series: Series, since: Cursor, found: Found, span: Span) -> SeriesLook:
        next_ = dict(since["streams"].get(series.stream, since)["next"])
        numbers, gaps = dict[str, Numbers | None](), 0
        for name, asked in self._streams[series.stream].items():
            part = from_start(span, next_[name])
            numbers[name], last = numbers_of(series, asked, found, part)
            gaps += unseen(asked, found, part, last)
            next_[name] = next_[name] if last is None else last
        return SeriesLook(Stream(numbers["candidate"], numbers.get("baseline"), gaps), {"next": next_})

    def _past(self, series: Series, found: Found, span: Span) -> Stream:
        both = self._streams[series.stream].items()
        numbers = {name: numbers_of(series, asked, found, span)[0] for name, asked in both}
        return Stream(numbers["candidate"], numbers.get("baseline"))

    def _asked_of(self, name: str) -> Asked:
        config = self._windows
        if config.requests is None or config.errors is None:
            return Asked(None)
        below = {edge: self._query(config.latency_at(edge), name) for edge in self._edges}
        return Asked(self._query(config.requests, name), self._query(config.errors, name), below, self._up(None, name))

    def _asked(self, series: Series, name: str) -> Asked:
        parts = {part: self._query(text, name, counts=series.shape != "values") for part, text in series.parts.items()}
        up = parts.get("up") or self._up(series, name)
        if series.shape == "values":
            return Asked(parts["value"])
        if series.shape == "counts":
            bad = parts.get("bad") or parts["good"]
            return Asked(parts["of"], bad, up=up)
        return Asked(parts.get("requests"), parts["events"], up=up)

    def _up(self, series: Series | None, name: str) -> Query | None:
        """Return what shows that telemetry arrives, beside the numbers themselves."""
        if self._windows.up is not None:
            return self._query(self._windows.up, name)
        if series is not None and "requests" not in series.parts and self._windows.requests is not None:
            return self._query(self._windows.requests, name)
        return None

    def _query(self, text: str, name: str, *, counts: bool = True) -> Query:
        return Query(self._windows.fill(text, name, self._arms[name]), counts)
