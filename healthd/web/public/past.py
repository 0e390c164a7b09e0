"""Days of the components of all public pages, from the journal. They are read for visitors alone, once a minute at
most, and kept while the journal is away."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from healthd.config.in_force import Current
from healthd.config.public_page import PublicPage
from healthd.config.settings import Settings
from healthd.journal.errors import JournalError
from healthd.journal.past import Past, StoredTransition
from healthd.monitoring.board import Board
from healthd.monitoring.past_windows import left_out
from healthd.monitoring.uptime import stretches
from healthd.monitoring.uptime_days import Day, daily, days_until
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within
from healthd.web.public.membership import Memberships

_log = structlog.get_logger(__name__)
_FRESH = 60.0  # seconds for which what was read is not read again
_WHOLE = 3600.0  # seconds after which all days are read again, rather than the last two
_LAST = 2  # days: those that may still change
_PATIENCE = 5.0  # seconds for the journal
_VISITOR = 0.5  # seconds for which a visitor waits for what is very old
_FIRST = 3.0  # seconds for which the first visitor of this process waits, whose page others may be shown
Days = Mapping[str, tuple[tuple[Day, ...], ...]]
"""Days of each component, by page."""


@dataclass(frozen=True, slots=True)
class _Known:
    pages: Mapping[str, PublicPage]
    days: Days
    at: datetime
    steady: float
    whole_at: float
    revision: int


class PublicPast:
    """The past that visitors are shown. `run` reads it when somebody has asked."""

    def __init__(
        self, past: Past, board: Board, settings: Current[Settings], clock: Clock, memberships: Memberships
    ) -> None:
        self._past, self._board, self._settings, self._clock = past, board, settings, clock
        self._memberships = memberships
        self._known: _Known | None = None
        self._asked, self._read = asyncio.Event(), asyncio.Event()
        self._fails = False

    @property
    def known(self) -> tuple[Days, datetime] | None:
        """Days as they were last read, and when; None before. A page that a reload has changed is not among them."""
        if self._known is None:
            return None
        now = self._settings.now.public_pages
        same = {name: days for name, days in self._known.days.items() if now.get(name) == self._known.pages[name]}
        return same, self._known.at

    async def look(self) -> None:
        """Have it read again if it is old; wait briefly where it is not known at all or very old, unless the journal
        failed the last time."""
        age = float("inf")
        if self._known is not None and self._known.revision == self._settings.revision:
            age = self._clock.steady() - self._known.steady
        if age < _FRESH:
            return
        self._read.clear()
        self._asked.set()
        if age > 2 * _FRESH and not self._fails:
            await set_within(_VISITOR if self._known is not None else _FIRST, self._read)

    async def run(self) -> None:
        """Read what is asked for until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                self._known = await self._look()
                self._fails = False
            except (JournalError, TimeoutError):  # which the journal itself logs
                self._fails = True
            except Exception:  # the pages show what is known without it
                self._fails = True
                _log.exception("past of the public pages not read")
            self._read.set()
            await asyncio.sleep(_FRESH / 4 if self._fails else 0)

    async def _look(self) -> _Known:
        membership = await self._memberships.now()
        now, steady, revision = self._clock.now(), self._clock.steady(), membership.revision
        pages = {name: page for name, page in self._settings.now.public_pages.items() if page.uptime_days}
        last = self._known
        whole = last is None or last.revision != revision or steady - last.whole_at >= _WHOLE
        whole = whole or any(not _same_day(page, last, now) for page in pages.values())
        spans = {
            name: days_until(now, ZoneInfo(page.timezone), page.uptime_days if whole else min(_LAST, page.uptime_days))
            for name, page in pages.items()
        }
        if not spans:
            return _Known({}, {}, now, steady, steady, revision)
        start = min(days[0][1] for days in spans.values())
        async with asyncio.timeout(_PATIENCE):
            stored, audit = await self._past.transitions(start), await self._past.windows()
        members = {name: it for name, it in membership.members.items() if name in self._board}
        states = [self._board.check(name) for name in members]
        groups = {name: it.groups for name, it in members.items()}
        maintenance = self._settings.now.maintenance

        def compute() -> Days:
            changes: dict[str, list[StoredTransition]] = defaultdict(list)
            for each in stored:
                changes[each.check].append(each)
            lines = {
                it.name: stretches(
                    [(each.at, each.old, each.new) for each in changes[it.name]], start, now, it.status, it.since
                )
                for it in states
            }
            holes = left_out(maintenance, audit, states, groups, start, now)
            found = {}
            for name in pages:
                parts = [[it.name for it in part if it.name in lines] for part in membership.pages[name]]
                found[name] = tuple(
                    daily([lines[it] for it in inside], [holes[it] for it in inside], spans[name]) for inside in parts
                )
            return found

        days = await asyncio.to_thread(compute)
        if whole or last is None:
            return _Known(pages, days, now, steady, steady, revision)
        return _Known(pages, _joined(last.days, days), now, steady, last.whole_at, revision)


def _same_day(page: PublicPage, last: _Known | None, now: datetime) -> bool:
    zone = ZoneInfo(page.timezone)
    return last is not None and last.at.astimezone(zone).date() == now.astimezone(zone).date()


def _joined(before: Days, last: Days) -> Days:
    """Return the days that were read before, with the last of them replaced."""
    return {
        name: tuple((*old[: len(old) - len(new)], *new) for old, new in zip(before[name], parts, strict=True))
        for name, parts in last.items()
    }
