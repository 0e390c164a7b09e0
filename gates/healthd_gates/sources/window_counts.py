"""Counts, events and values of closed windows, from what a service of telemetry answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from healthd_gates.domain.evidence import Counts, Events, Histogram, Numbers, Values
from healthd_gates.sources.contract import Series
from healthd_gates.sources.windows import Query, Span, Windows

NOTHING: Windows = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """The queries of one arm for one thing: the whole, the part of it, latencies by their edge, a sign of life."""

    whole: Query | None
    part: Query | None = None
    below: Mapping[float, Query] = field(default_factory=dict)
    up: Query | None = None

    @property
    def queries(self) -> list[Query]:
        return [each for each in (self.whole, self.part, *self.below.values(), self.up) if each is not None]


Found = Mapping[Query, Windows]


def numbers_of(series: Series, asked: Asked, found: Found, span: Span) -> tuple[Numbers | None, int | None]:
    """Return an arm's numbers for a criterion, and up to when they are known."""
    if series.shape == "values":
        assert asked.whole is not None
        windows = {start: value for start, value in found.get(asked.whole, NOTHING).items() if start in set(span)}
        if not windows:
            return None, None
        newest = max(windows)
        return Values((windows[newest],)), newest + span.window
    last = _known_until(asked, found, span)
    if last is None:
        return None, None
    part = replace(span, end=last)
    whole, bad = _total(asked.whole, found, part), _total(asked.part, found, part)
    if series.shape == "counts":
        return Counts(whole, bad), last
    return Events(bad, whole if "requests" in series.parts else None, None, float(last - span.start)), last


def counts_of(asked: Asked, found: Found, span: Span, edges: Sequence[float]) -> tuple[Counts | None, int | None]:
    """Return an arm's requests, errors and latencies at `edges`, in seconds, and up to when they are known."""
    last = _known_until(asked, found, span) if asked.whole is not None else None
    if last is None:
        return None, None
    part = replace(span, end=last)
    requests = _total(asked.whole, found, part)
    latency = None
    if edges:
        below = [min(_total(asked.below[edge], found, part), requests) for edge in edges]
        below = [max(below[: place + 1]) for place in range(len(below))]
        counts = [high - low for low, high in zip([0.0, *below], [*below, requests], strict=False)]
        latency = Histogram((*edges, inf), tuple(counts))
    return Counts(requests, _total(asked.part, found, part), latency), last


def from_start(span: Span, start: int) -> Span:
    """Return the windows of a span that begin at `start` or later."""
    return replace(span, start=min(max(span.start, start), span.end))


def _known_until(asked: Asked, found: Found, span: Span) -> int | None:
    """Return the end of the newest window in which anything arrived; None if there is none."""
    known = [start for start in span if _is_known(asked, found, start)]
    return known[-1] + span.window if known else None


def _is_known(asked: Asked, found: Found, start: int) -> bool:
    return any(found.get(query, NOTHING).get(start, 0.0) > 0 for query in asked.queries)


def unseen(asked: Asked, found: Found, span: Span, last: int | None) -> int:
    """Return of how many windows up to the last known one nothing is known although `up` would show it."""
    if asked.up is None or last is None:
        return 0
    return sum(not _is_known(asked, found, start) for start in replace(span, end=last))


def _total(query: Query | None, found: Found, span: Span) -> float:
    windows = found.get(query, NOTHING) if query is not None else NOTHING
    return sum(windows.get(start, 0.0) for start in span)


def parts_of(series: Series, asked: Asked) -> list[tuple[str, Query]]:
    whole = next((part for part in ("of", "requests", "value") if part in series.parts), None)
    part = next((part for part in ("bad", "good", "events") if part in series.parts), None)
    pairs = ((whole, asked.whole), (part, asked.part))
    return [(name, query) for name, query in pairs if name is not None and query is not None]
