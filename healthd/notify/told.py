"""Notifications that were sent, stored in the journal: after a restart nothing is sent twice and no end is
forgotten, and of replicas that share the journal one sends each."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from healthd.journal.errors import JournalError
from healthd.notifiers.contract import NotifierConfig
from healthd.notifiers.notice import Notice

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 2.0
_PACE = {"enabled", "optional", "group_wait", "per_minute", "timeout"}

Key = tuple[str, str]
"""Key of a sent notification: receiver and subject."""


@dataclass(frozen=True, slots=True)
class Told:
    """Last notification to a receiver about a subject, and its time; `within` is the key of the summary that contained
    it."""

    notice: Notice
    at: datetime
    within: str | None = None

    def is_as_new_as(self, other: Told) -> bool:
        """True if the other one adds nothing to this."""
        return self.notice.id == other.notice.id and self.at >= other.at


def kept_of(notice: Notice, at: datetime) -> Told | None:
    """Return what is kept of a notice that was sent. Of an end it is nothing, unless it is always sent."""
    return Told(replace(notice, before=None), at) if notice.firing or notice.always else None


@dataclass(frozen=True, slots=True)
class Change:
    """New entry of a subject, or None to delete it. It replaces an entry that is not newer than `until`: a newer one is
    of another replica, which did not know of this."""

    told: Told | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a claim: the subjects that this replica may tell, each with the time by which the notification is
    named; those of which the journal knows more, of which the `adopted` ones are what a dead replica may have told; all
    others are being told by another replica."""

    mine: Mapping[str, datetime]
    changed: Mapping[str, Told | None] = field(default_factory=dict)
    adopted: Collection[str] = frozenset()


def receiver_of(name: str, config: NotifierConfig) -> str:
    """Return the name of a notifier, with a mark that changes with its address: a new receiver has got no notification
    yet.

    The mark is too short to reveal anything about a secret in the address.
    """
    identity = repr(sorted((key, _plain(value)) for key, value in config if key not in _PACE))
    return f"{name}/{hashlib.blake2b(identity.encode(), digest_size=3).hexdigest()}"


def _plain(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return repr(reveal() if reveal is not None else value)


class Store(Protocol):
    """Store of sent notifications and of the claims to send one. Every method raises JournalError."""

    async def load(self) -> Mapping[Key, Told]: ...

    async def save(self, changes: Mapping[Key, Change], released: Collection[Key]) -> None: ...

    async def claim(
        self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float
    ) -> Answer: ...


class Memory:
    """Sent notifications in memory, written in the background. A journal that is down delays only the writing."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._told: dict[Key, Told] = {}
        self._unsaved: dict[Key, Change] = {}
        self._released: set[Key] = set()
        self._news, self._saving = asyncio.Event(), asyncio.Lock()
        self.loaded = store is None
        self.changes = 0  # grows with every change made here
        self.learnt: Callable[[str, str, Told | None], None] = lambda *_: None
        """Called with receiver, subject and entry when another replica told it, or its end."""

    @property
    def known(self) -> Mapping[Key, datetime]:
        """Time of each entry."""
        return {key: told.at for key, told in self._told.items()}

    def of(self, receiver: str) -> dict[str, Told]:
        """Return the notifications that a receiver got, by subject."""
        return {subject: told for (name, subject), told in self._told.items() if name == receiver}

    def is_firing(self, check: str) -> bool:
        """True if a receiver was told of a failure of this check, on whichever host, and not of its end."""
        subject = f"check:{check}"
        return any(
            told.notice.firing and (key == subject or key.startswith(f"{subject}@"))
            for (_, key), told in self._told.items()
        )

    def note(self, receiver: str, subject: str, told: Told | None) -> None:
        """Store a notification sent now; None forgets the subject."""
        key = receiver, subject
        before = self._told.pop(key, None)
        if told is not None:
            self._told[key] = told
        elif before is None:
            return
        self.changes += 1
        if self._store is not None:
            until = max(entry.at for entry in (told, before) if entry is not None)
            self._unsaved[key] = Change(told, until)
            self._news.set()

    def release(self, receiver: str, subjects: Collection[str]) -> None:
        """Let other replicas tell these subjects."""
        if self._store is not None and subjects:
            self._released |= {(receiver, subject) for subject in subjects}
            self._news.set()

    async def claim(
        self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float
    ) -> Answer | None:
        """Claim the right to send notices, each with the last one that is known here, for so many seconds. None where
        nothing is shared. Raises JournalError."""
        if self._store is None:
            return None
        await self.flush()
        answer = await self._store.claim(receiver, wanted, seconds)
        self.changes += 1  # an exchange that began before knows less
        for subject, told in answer.changed.items():
            self._learn((receiver, subject), told)
        return answer

    def learn(self, changed: Mapping[Key, Told], kept: Collection[Key], known: Collection[Key]) -> None:
        """Take what others have told: entries that changed, and, of the `known` ones, only those `kept`."""
        for key, told in changed.items():
            self._learn(key, told)
        for key in set(known) - set(kept):
            self._learn(key, None)

    def _learn(self, key: Key, told: Told | None) -> None:
        if key in self._unsaved:
            return
        if told is not None:
            self._told[key] = told
        else:
            self._told.pop(key, None)
        self.learnt(*key, told)

    async def load(self) -> None:
        """Read the notifications sent before the start; those sent since take precedence. Retries until it succeeds."""
        while not self.loaded and self._store is not None:
            try:
                self._told = {**await self._store.load(), **self._told}
                self.loaded = True
            except JournalError:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # alarms must not depend on it
                _log.exception("stored notifications unreadable, sending again")
                self.loaded = True

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._news.wait()
            try:
                await self.flush()
            except JournalError:  # which the journal itself logs
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                _log.exception("sent notifications not stored")
                await asyncio.sleep(_RETRY_SECONDS)

    async def flush(self) -> None:
        """Write what is left. Raises JournalError."""
        async with self._saving:
            self._news.clear()
            changes, released = dict(self._unsaved), set(self._released)
            if self._store is None or not (changes or released):
                return
            try:
                await self._store.save(changes, released)
            except BaseException:
                self._news.set()
                raise
            self._released -= released
            self.changes += 1
            for key, change in changes.items():  # what changed again while it was written is left for the next time
                if self._unsaved.get(key) is change:
                    del self._unsaved[key]
