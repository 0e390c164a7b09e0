"""Windows that callers add while the daemon runs. They are in force here at once, and on every replica that shares the
journal within seconds; a journal that cannot be used only delays the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog

from healthd.config.window import Window
from healthd.journal.errors import JournalError
from healthd.journal.journal import AuditEntry
from healthd.model import Status, Transition
from healthd.monitoring.acknowledgements import Acknowledgements
from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_LOOK = 5.0  # seconds between two reads of the journal
_MOST_WAITING = 1000  # audit entries kept while the journal is away; beyond that the oldest are lost
_PATIENCE = 2.0  # seconds for which a caller waits for the journal
_START_PATIENCE = 10.0  # seconds for which the start of a gate waits for it


class Store(Protocol):
    """Store of windows. Both methods raise JournalError; `save` returns each of them as it is stored."""

    async def load(self) -> dict[str, Window]: ...

    async def save(
        self, changes: Mapping[str, Window | None], entries: list[AuditEntry]
    ) -> Mapping[str, Window | None]: ...


class Windows:
    """Windows in force or to come, by id."""

    def __init__(self, board: Board, store: Store, clock: Clock) -> None:
        self._board, self._store, self._clock = board, store, clock
        self._known: dict[str, Window] = {}
        self._unsaved: dict[str, Window | None] = {}
        self._audit: list[AuditEntry] = []
        self._written = 0  # of the entries above, those that are being stored
        self._changes = 0
        self._reads = self._newest = 0  # number of reads that began, and of the one whose windows are known
        self._is_read = False
        self.acknowledgements = Acknowledgements(board, clock)
        self._saving = asyncio.Lock()
        self._news = asyncio.Event()

    def all(self) -> list[Window]:
        """Return the windows that are not over, the first to end first."""
        now = self._clock.now()
        mine = {key: window for key, window in (self._known | self._unsaved).items() if window is not None}
        return sorted(
            (it for it in mine.values() if it.end is not None and it.end > now), key=lambda it: (it.end, it.id)
        )

    async def freezes(self) -> tuple[Iterable[Window], str | None]:
        """Return the freezes that any replica has stored by now, and None; where the journal is away or too slow, those
        known here, and why there may be others."""
        problem = None
        try:
            await with_deadline(_START_PATIENCE, self.read(), name="freezes")
        except JournalError as error:
            problem = str(error)
        except TimeoutError:
            problem = "it does not answer whether there is a freeze"
        return [window for window in self.all() if window.kind == "freeze"], problem

    @property
    def unsaved(self) -> int:
        """Number of windows and ends that the journal does not have yet, and that hold on this replica alone."""
        return len(self._unsaved)

    @property
    def is_complete(self) -> bool:
        """True if the last read of the journal succeeded; else it may have windows that are not known here."""
        return self._is_read

    def is_unsaved(self, key: str) -> bool:
        return key in self._unsaved

    async def add(self, window: Window, replaced: Iterable[Window] = ()) -> None:
        """Put a window in force, in place of others, and wait briefly until it is stored."""
        for old in replaced:
            detail = {"kind": old.kind, "because": f"replaced by {window.id}"}
            self._put(old.id, None, AuditEntry(window.author, "window.end", old.id, detail))
        await self._change(window.id, window, AuditEntry(window.author, "window.add", window.id, _detail(window)))

    async def move(self, window: Window) -> None:
        """Put a window in force in place of the one that has its id, and wait briefly until it is stored."""
        await self._change(window.id, window, AuditEntry(window.author, "window.move", window.id, _detail(window)))

    async def end(self, key: str, caller: str) -> Window | None:
        """End a window now, and wait briefly until that is stored. None if there is no such window."""
        window = next((it for it in self.all() if it.id == key), None)
        if window is not None:
            await self._change(key, None, AuditEntry(caller, "window.end", key, {"kind": window.kind}))
        return window

    async def read(self) -> None:
        """Read the journal now: whatever any replica had stored by then is known here. Raises JournalError."""
        while not await self._load():
            pass

    async def refresh(self) -> bool:
        """Read the journal now; False if it cannot be read."""
        try:
            await with_deadline(_PATIENCE, self.read(), name="windows")
        except (JournalError, TimeoutError):
            return False
        return True

    def changed(self, transition: Transition) -> None:
        """End the acknowledgements of a check that is healthy again: what it fails of next is news."""
        if transition.new is Status.HEALTHY:
            self._end_with(transition.check, is_healthy=True)

    def recovered(self, checks: Iterable[str]) -> None:
        """The same, of checks that no replica sees failing any more."""
        for check in checks:
            self._end_with(check)

    def _end_with(self, check: str, *, is_healthy: bool = False) -> None:
        mine = self.acknowledgements.of(check, self.all())
        for change in list(self.acknowledgements.over(mine, check, is_healthy=is_healthy)):
            self._put(*change)

    def _end_what_is_over(self) -> None:
        for change in list(self.acknowledgements.left_over(self.all(), is_read=self._is_read)):
            self._put(*change)

    async def run(self) -> None:
        """Exchange windows with the journal until cancelled."""
        while True:
            try:
                self._end_what_is_over()
                await self._save()
                await self._load()
            except JournalError:  # which the journal itself logs
                self._is_read = False
            except Exception:  # neither notices nor health depend on it
                _log.exception("windows not exchanged with the journal")
            self._news.clear()
            if await set_within(_LOOK, self._news):
                await asyncio.sleep(0.1)  # a caller saves its own change

    async def _change(self, key: str, window: Window | None, entry: AuditEntry) -> None:
        self._put(key, window, entry)
        try:
            await with_deadline(_PATIENCE, self._save(), name="windows")
        except (JournalError, TimeoutError):
            _log.warning("window not stored yet, in force on this replica alone", window=key)

    def _put(self, key: str, window: Window | None, entry: AuditEntry) -> None:
        if window is None and key not in self._known and not self._saving.locked():
            self._unsaved.pop(key, None)  # the journal never had it
        else:
            self._unsaved[key] = window
        self._audit.append(entry)
        if len(self._audit) > _MOST_WAITING:
            del self._audit[self._written]
            _log.warning("audit of a window lost, the journal is away for too long", window=key)
        self._changes += 1
        self._news.set()
        self._board.add_windows(self.all())

    async def _save(self) -> None:
        async with self._saving:
            if not self._unsaved and not self._audit:
                return
            changes, entries = dict(self._unsaved), list(self._audit)
            self._written = len(entries)
            try:
                stored = await self._store.save(changes, entries)
                del self._audit[: len(entries)]
            finally:
                self._written = 0
            for key, window in changes.items():
                if self._unsaved.get(key, window) is window:
                    self._unsaved.pop(key, None)
                if (kept := stored[key]) is None:
                    self._known.pop(key, None)
                else:
                    self._known[key] = kept
            self._changes += 1
            if stored != changes:
                self._board.add_windows(self.all())

    async def _load(self) -> bool:
        """Read the journal; False if a window was saved meanwhile, which what was read may lack."""
        before = self._changes
        self._reads += 1
        number = self._reads
        known = await self._store.load()
        self._is_read = True
        if self._changes != before:
            return False
        if number < self._newest:  # one that began later knows more
            return True
        self._newest = number
        if known != self._known:
            self._known = known
            self._board.add_windows(self.all())
        return True


def _detail(window: Window) -> dict[str, Any]:
    """Return what the audit has of a window."""
    names = ("checks", "groups", "services", "labels")
    named = {name: getattr(window, name) for name in names if getattr(window, name)}
    return {"kind": window.kind, "from": window.start, "until": window.end, "reason": window.reason, **named}
