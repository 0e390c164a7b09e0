"""Sessions of people who have signed out. They are over here at once, and on every replica that shares the journal
within seconds; a journal that cannot be used only delays the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from healthd.config.sign_in import LONGEST_SESSION
from healthd.journal.errors import JournalError
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_LOOK = 5.0  # seconds between two reads of the journal
_PATIENCE = 2.0  # seconds for which a person who signs out waits for the journal


class Store(Protocol):
    """Store of ended sessions. Both methods raise JournalError."""

    async def load(self) -> dict[str, datetime]: ...

    async def save(self, ended: Mapping[str, datetime]) -> None: ...


class EndedSessions:
    """Ids of the sessions that have ended before their time. A person without a session can add none."""

    def __init__(self, store: Store, clock: Clock, people_sign_in: Callable[[], bool]) -> None:
        """`people_sign_in` returns false while nobody can: then the journal is not asked."""
        self._store, self._clock, self._people_sign_in = store, clock, people_sign_in
        self._known: dict[str, datetime] = {}
        self._unsaved: dict[str, datetime] = {}
        self._saving = asyncio.Lock()
        self._underway: set[asyncio.Task[bool]] = set()

    def __contains__(self, session: object) -> bool:
        return session in self._known or session in self._unsaved

    async def add(self, session: str) -> None:
        """End a session, and wait briefly until that is stored; a journal that is slower stores it all the same. It is
        remembered for as long as `auth.sign_in.session` can ever be: a reload may lengthen that."""
        self._unsaved[session] = self._clock.now() + timedelta(seconds=LONGEST_SESSION)
        saving = asyncio.create_task(self._stored(), name="ended sessions")
        self._underway.add(saving)
        saving.add_done_callback(self._underway.discard)
        await asyncio.wait({saving}, timeout=_PATIENCE)
        if not saving.done() or not saving.result():
            _log.warning("end of a session not stored yet, it is over on this replica alone")

    async def run(self) -> None:
        """Exchange ended sessions with the journal until cancelled."""
        while True:
            try:
                await self._save()
                if self._people_sign_in():
                    await self._load()
            except JournalError:  # which the journal itself logs
                pass
            except Exception:  # neither pages nor health depend on it
                _log.exception("ended sessions not exchanged with the journal")
            await asyncio.sleep(_LOOK)

    async def flush(self) -> None:
        """Store what is left, at the end. Raises JournalError."""
        await self._save()

    async def _stored(self) -> bool:
        """Store what is left. False where the journal cannot be used now."""
        try:
            await self._save()
        except JournalError:  # which the journal itself logs; the next round tries again
            return False
        except Exception:
            _log.exception("end of a session not stored")
            return False
        return True

    async def _load(self) -> None:
        loaded = await self._store.load()
        now = self._clock.now()
        # Together with those that were saved meanwhile.
        self._known = {it: until for it, until in (self._known | loaded).items() if until > now}

    async def _save(self) -> None:
        async with self._saving:
            ended = dict(self._unsaved)
            if not ended:
                return
            await self._store.save(ended)
            self._known |= ended
            for session in ended:
                self._unsaved.pop(session, None)
