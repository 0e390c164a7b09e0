"""The series of criteria beside the counts of the service: each with a position of its own in the source's cursor, so
that what one of them lacks the others still have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from healthd_gates.domain.evidence import Evidence, Stream
from healthd_gates.sources.contract import Cursor, Look, SourceUnavailable

T = TypeVar("T")
S = TypeVar("S")
Position = Mapping[str, Any]
"""The position of one criterion's series: JSON."""


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """One criterion's numbers since its position, None at its first evaluation, and its new position. `notes` and
    `departed` are as in `Look`."""

    stream: Stream | None
    position: Position
    notes: tuple[str, ...] = ()
    departed: tuple[str, ...] = ()


class SeriesReader(Protocol):
    """Reads the series of one criterion. Every method raises SourceUnavailable."""

    async def look(self, position: Position | None, now: datetime) -> SeriesLook:
        """Return the numbers since `position`."""

    async def past(self, start: float, step: float, steps: int) -> list[Stream]:
        """Return the numbers of every step from `start` on, in seconds since 1970."""

    async def inspect(self, at: float) -> None:
        """Ask for the numbers once."""


async def or_outage(work: Coroutine[Any, Any, T]) -> T | SourceUnavailable:
    """Return the outage instead of raising it."""
    try:
        return await work
    except SourceUnavailable as outage:
        return outage


async def all_and(main: Coroutine[Any, Any, S], own: Mapping[str, Coroutine[Any, Any, T]]) -> tuple[S, dict[str, T]]:
    """Run all at once."""
    async with asyncio.TaskGroup() as group:
        first = group.create_task(main)
        rest = {name: group.create_task(each) for name, each in own.items()}
    return first.result(), {name: task.result() for name, task in rest.items()}


def with_streams(
    main: Look | SourceUnavailable,
    own: Mapping[str, SeriesLook | SourceUnavailable],
    since: Cursor | None,
    now: datetime,
) -> Look:
    """Combine the service's counts with the numbers of the criteria. Raises SourceUnavailable if there is nothing."""
    seen = {name: look for name, look in own.items() if isinstance(look, SeriesLook)}
    if isinstance(main, SourceUnavailable):
        if since is None or not seen:
            raise main
        seconds = max(now.timestamp() - since["at"], 0.001)
        main = Look(Evidence(now, seconds, gaps=1), since, (str(main),))
    if not own:
        return main
    positions = {**(since or {}).get("streams", {}), **{name: look.position for name, look in seen.items()}}
    notes = [*main.notes]
    notes += [f"criterion {name}: {look}" for name, look in own.items() if isinstance(look, SourceUnavailable)]
    notes += [f"criterion {name}: {note}" for name, look in seen.items() for note in look.notes]
    departed = [*main.departed]
    departed += [f"criterion {name}: {note}" for name, look in seen.items() for note in look.departed]
    streams = {name: look.stream for name, look in seen.items() if look.stream is not None}
    evidence = replace(main.evidence, streams=streams) if main.evidence is not None else None
    cursor = {**main.cursor, "streams": positions}
    return replace(main, evidence=evidence, cursor=cursor, notes=tuple(notes), departed=tuple(departed))
