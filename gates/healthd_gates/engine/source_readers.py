"""The sources of one gate: each is read once an evaluation; together they are one evidence and one cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from healthd_gates.config.observed import Blindness, ReadSource
from healthd_gates.domain.evidence import Evidence, Lives, Stream
from healthd_gates.engine.observer import Traffic
from healthd_gates.sources.contract import Cursor, HistoricalSource, Look, Source


@dataclass(frozen=True, slots=True)
class Opened:
    """A source with what is read from it, and the reader."""

    what: ReadSource
    traffic: Traffic
    blind: Blindness = field(default_factory=Blindness)


@dataclass(frozen=True, slots=True)
class Past:
    """A source that keeps a past, and how it is built."""

    what: ReadSource
    build: Callable[[], Source]


class SourceReaders:
    """The sources of one gate."""

    def __init__(self, opened: Sequence[Opened]) -> None:
        self._opened = opened

    @property
    def cursor(self) -> dict[str, Any]:
        """The position of every source, as it is stored."""
        first = next((each.traffic.cursor for each in self._opened if each.what.name is None), None)
        others = {each.what.name: each.traffic.cursor for each in self._opened if each.what.name is not None}
        return {"source": first, **({"sources": others} if others else {})}

    @property
    def has_begun(self) -> bool:
        """True if a source has its starting point, so that the next evaluation has numbers."""
        return any(each.traffic.cursor is not None for each in self._opened)

    @property
    def sources(self) -> Sequence[Source]:
        """The sources as they are open now."""
        return [each.traffic.source for each in self._opened]

    @property
    def historical(self) -> Sequence[Past]:
        """Those of them that keep a past, for a fetch beside the evaluations."""
        kept = (each for each in self._opened if isinstance(each.traffic.source, HistoricalSource))
        return [Past(each.what, each.traffic.build) for each in kept]

    async def look(self) -> Look:
        """Read all of them at once."""
        looks = await asyncio.gather(*(each.traffic.look() for each in self._opened))
        named = [("" if each.what.name is None else f"{each.what.name}: ") for each in self._opened]
        notes, departed = (
            tuple(f"{prefix}{note}" for prefix, told in zip(named, every, strict=True) for note in told)
            for every in ([look.notes for look in looks], [look.departed for look in looks])
        )
        found = [
            (each.what, without_shared(look.evidence, each.blind))
            for each, look in zip(self._opened, looks, strict=True)
            if look.evidence
        ]
        started = any(look.cursor for look in looks)
        unasked = any(look.unasked for each, look in zip(self._opened, looks, strict=True) if each.what.name is None)
        return Look(together(found), {"started": True} if started else {}, notes, departed, unasked)

    async def close(self) -> None:
        await asyncio.gather(*(each.traffic.close() for each in self._opened))


def without_shared(evidence: Evidence, blind: Blindness) -> Evidence:
    """Return the evidence without a baseline where its numbers are the candidate's own, as of two versions at one
    address: what the candidate does would count as trouble of both."""
    streams = {
        name: replace(stream, baseline=None) if name in blind.streams else stream
        for name, stream in evidence.streams.items()
    }
    if blind.counts:
        evidence = replace(evidence, baseline=None, baseline_lives=Lives())
    return replace(evidence, streams=streams)


def together(found: Sequence[tuple[ReadSource, Evidence]]) -> Evidence | None:
    """Return the evidence of all sources as one, None if there is none."""
    if not found:
        return None
    whole: Evidence | None = None
    streams: dict[str, Stream] = {}
    for what, evidence in found:
        if what.name is None:
            whole = evidence
        streams |= evidence.streams
        own = Stream(evidence.candidate, evidence.baseline, evidence.gaps, evidence.resets, evidence.span)
        streams |= dict.fromkeys(what.streams, own)
    if whole is None:
        first = found[0][1]
        whole = Evidence(first.at, first.seconds, gaps=sum(each.gaps for _, each in found))
    return replace(whole, streams=streams)


def cursor_of(kept: Mapping[str, Any], name: str | None) -> Cursor | None:
    """Return the position of one source in a stored cursor."""
    if name is None:
        return kept.get("source")
    position: Cursor | None = (kept.get("sources") or {}).get(name)
    return position
