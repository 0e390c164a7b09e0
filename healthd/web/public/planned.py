"""Planned maintenance of components: when, and of which. The reason of a window is for those inside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthd.config.public_page import PublicPage
from healthd.config.window import CheckWindow

_AHEAD = timedelta(days=14)
_MOST = 10  # that a page shows


@dataclass(frozen=True, slots=True)
class Planned:
    """Maintenance of some components. One that is under way has no start."""

    start: datetime | None
    end: datetime
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """What decides to which component, and under which window, a check comes."""

    name: str
    labels: Mapping[str, str]
    groups: Collection[str]


def planned(
    page: PublicPage, windows: Iterable[CheckWindow], checks: Sequence[Member], now: datetime
) -> tuple[Planned, ...]:
    """Return the maintenance of the page's components under way and of the next two weeks, of each window the next
    time; the first to begin first."""
    found = set()
    for window in windows if page.maintenance else ():
        if window.window_kind != "maintenance":
            continue
        covered = [it for it in checks if window.takes(it.name, it.labels, it.groups)]
        names = tuple(it.name for it in page.components if any(it.takes(each.name, each.groups) for each in covered))
        if names and (times := _next(window, now)) is not None:
            found.add(Planned(*times, names))
    return tuple(sorted(found, key=lambda it: (it.start or now, it.end, it.components))[:_MOST])


def _next(window: CheckWindow, now: datetime) -> tuple[datetime | None, datetime] | None:
    if (end := window.until(now)) is not None:
        return None, end
    start = window.next_start(now)
    end = window.until(start) if start is not None and start <= now + _AHEAD else None
    return None if end is None else (start, end)
