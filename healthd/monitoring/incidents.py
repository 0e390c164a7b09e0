"""Incidents that people write about. What is written is shown here at once, and by every replica that shares the
journal within seconds; a journal that cannot be used only delays the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from healthd.config.incident import Incident, Update, in_order, incidents_of
from healthd.journal.errors import JournalError
from healthd.journal.journal import AuditEntry
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_LOOK = 5.0  # seconds between two reads of the journal
_PATIENCE = 2.0  # seconds for which a caller waits for the journal
_CLEANING = 3600.0
_MOST_OVER = 1000  # incidents that are kept once they are over
_WITHDRAWN = timedelta(days=1)  # for which a withdrawal is kept, for replicas that wrote while the journal was away


class Store(Protocol):
    """Store of updates. Every method raises JournalError."""

    async def mark(self) -> Any: ...

    async def load(self) -> dict[str, Update]: ...

    async def add(self, updates: Sequence[Update], entries: Sequence[AuditEntry]) -> None: ...

    async def forget(self, incidents: Sequence[str]) -> None: ...


class Incidents:
    """Incidents, open and past."""

    def __init__(
        self, store: Store, clock: Clock, retention: Callable[[], float], wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """`wanted` tells whether anybody is shown incidents: else the journal is not read."""
        self._store, self._clock, self._retention, self._wanted = store, clock, retention, wanted
        self._known: dict[str, Update] = {}
        self._unsaved: dict[str, tuple[Update, AuditEntry]] = {}
        self._all: tuple[Incident, ...] = ()
        self._mark: Any = None
        self._clean_at = 0.0
        self._changes = 0
        self._read_at: datetime | None = None
        self._is_read = False
        self._saving = asyncio.Lock()
        self._news = asyncio.Event()

    def all(self) -> tuple[Incident, ...]:
        """Return all that were not withdrawn, as they stand now: those that are open first, then the latest."""
        now = self._clock.now()
        return in_order(it.as_of(now) for it in self._all)

    def find(self, key: str) -> list[Incident]:
        """Return the incident of an id, or those whose ids begin so."""
        found = [it for it in self.all() if it.id.startswith(key)]
        return [it for it in found if it.id == key] or found

    @property
    def read_at(self) -> datetime | None:
        """Time at which the journal was last heard of; None while it never was."""
        return self._read_at

    @property
    def is_current(self) -> bool:
        """True if the journal was read of late."""
        return self._read_at is not None and self._clock.now() - self._read_at < timedelta(seconds=6 * _LOOK)

    @property
    def is_complete(self) -> bool:
        """True if the last read of the journal succeeded, or none is needed; else it may have incidents that are not
        known here."""
        return self._is_read or not self._wanted()

    @property
    def unsaved(self) -> int:
        """Number of updates that the journal does not have yet."""
        return len(self._unsaved)

    def is_unsaved(self, incident: str) -> bool:
        return any(update.incident == incident for update, _ in self._unsaved.values())

    async def refresh(self) -> None:
        """Read what other replicas were told; what is known here holds where the journal cannot be used."""
        with suppress(JournalError, TimeoutError):
            await with_deadline(_PATIENCE, self._load(), name="incidents")

    async def add(self, update: Update, action: str) -> None:
        """Show an update, and wait briefly until it is stored."""
        detail = update.model_dump(include={"pages", "title", "components", "impact", "state", "text"})
        entry = AuditEntry(update.author, action, update.incident, {**detail, "update": update.id})
        self._unsaved[update.id] = update, entry
        self._arrange()
        self._news.set()
        try:
            await with_deadline(_PATIENCE, self._save(), name="incidents")
        except (JournalError, TimeoutError):
            _log.warning("update of an incident not stored yet, shown by this replica alone", incident=update.incident)

    async def run(self) -> None:
        """Exchange updates with the journal until cancelled."""
        while True:
            try:
                await self._save()
                if self._wanted():
                    await self._load()
                    await self._clean()
            except JournalError:  # which the journal itself logs
                self._is_read = False
            except Exception:  # the pages show what is known
                _log.exception("incidents not exchanged with the journal")
            self._news.clear()
            if await set_within(_LOOK, self._news):
                await asyncio.sleep(0.1)  # a caller saves its own update

    async def flush(self) -> None:
        """Store what is left, at the end. Raises JournalError."""
        await self._save()

    async def _save(self) -> None:
        async with self._saving:
            if not self._unsaved:
                return
            batch = dict(self._unsaved)
            await self._store.add([update for update, _ in batch.values()], [entry for _, entry in batch.values()])
            for key, (update, _) in batch.items():
                self._unsaved.pop(key, None)
                self._known[key] = update
            self._changes += 1
            self._arrange()

    async def _load(self) -> None:
        before, mark = self._changes, await self._store.mark()
        if mark != self._mark:
            known = await self._store.load()
            if self._changes == before:  # else one was stored meanwhile, which `known` may lack
                self._known, self._mark = known, mark
                self._arrange()
        self._read_at, self._is_read = self._clock.now(), True

    async def _clean(self) -> None:
        """Delete what was over before the journal's retention began, the oldest of more than are kept, and what was
        withdrawn a day ago, of which the audit tells."""
        latest = sorted(self.all(), key=lambda it: it.last.at, reverse=True)
        surplus = [it.id for it in latest if not it.is_open][_MOST_OVER:]
        if self._clock.steady() < self._clean_at and not surplus:
            return
        now, retention = self._clock.now(), timedelta(seconds=self._retention())
        by_incident: dict[str, list[Update]] = {}
        for update in self._known.values():
            by_incident.setdefault(update.incident, []).append(update)
        over = surplus
        for key, updates in by_incident.items():
            written = Incident(tuple(sorted(updates, key=lambda it: (it.at, it.id))))
            last = written.as_of(now).last
            is_withdrawn = any(it.withdrawn for it in updates)
            kept = min(retention, _WITHDRAWN) if is_withdrawn else retention
            if last.at < now - kept and (is_withdrawn or last.is_over):
                over.append(key)
        if over:
            await self._store.forget(over)
        self._clean_at = self._clock.steady() + _CLEANING

    def _arrange(self) -> None:
        self._all = incidents_of({**self._known, **{key: it for key, (it, _) in self._unsaved.items()}}.values())
