"""Planned maintenance of components: when, and of which. The reason of a window is for those inside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthd.config.public_page import PublicPage
from healthd.config.window import CheckWindow
from healthd.web.public.membership import Member

_AHEAD = timedelta(days=14)
_MOST = 10  # that a page shows


@dataclass(frozen=True, slots=True)
class Planned:
    """Maintenance of some components. One that is under way has no start."""

    start: datetime | None
    end: datetime
    components: tuple[str, ...]


def planned(
    page: PublicPage, parts: Sequence[Collection[Member]], windows: Iterable[CheckWindow], now: datetime
) -> tuple[Planned, ...]:
    """Return the maintenance of the page's components, which have these members, under way and of the next two weeks,
    of each window the next time; the first to begin first. Slow where windows are by cron."""
    found = set()
    for window in windows if page.maintenance else ():
        if window.window_kind != "maintenance":
            continue
        names = tuple(
            component.name
            for component, members in zip(page.components, parts, strict=True)
            if any(window.takes(it.name, it.labels, it.groups) for it in members)
        )
        if names and (times := _next(window, now)) is not None:
            found.add(Planned(*times, names))
    return tuple(sorted(found, key=lambda it: (it.start or now, it.end, it.components))[:_MOST])


def _next(window: CheckWindow, now: datetime) -> tuple[datetime | None, datetime] | None:
    if (end := window.until(now)) is not None:
        return None, end
    start = window.next_start(now)
    end = window.until(start) if start is not None and start <= now + _AHEAD else None
    return None if end is None else (start, end)
