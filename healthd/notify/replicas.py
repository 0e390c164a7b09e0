"""The replicas that share a journal: each says what it sees, and one of them tells it.

Neither notices nor health wait for the journal for longer than a moment: where it cannot be asked, this replica tells
what it sees itself.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import structlog

from healthd.journal.errors import JournalError
from healthd.journal.leases import LEASE, LOOK
from healthd.notifiers.notice import Notice
from healthd.notify.quiet import Quiet
from healthd.notify.replica_store import Exchanged
from healthd.notify.told import Answer, Key, Memory, Told
from healthd.notify.view import Seen, View, merged
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_TOGETHER = 0.2  # seconds in which changes of the view are collected
_PATIENCE, _LITTLE_PATIENCE = 1.5, 0.3  # seconds for which a notice waits for the journal; less while it is troubled
_CUT_OFF = 60.0  # seconds for which a replica that fell silent may be one that cannot reach the journal
_EXCHANGE = 5.0  # seconds that an exchange may take


class ReplicaStore(Protocol):
    """Store of the replicas. Its coroutines raise JournalError."""

    @property
    def is_sqlite(self) -> bool: ...

    async def exchange(self, view: View, known: Mapping[Key, datetime], seconds: float) -> Exchanged: ...

    async def leave(self, *, at_once: bool) -> None: ...


class Replicas:
    """This replica among those that share its journal."""

    def __init__(
        self, host: str, memory: Memory, clock: Clock, store: ReplicaStore | None = None, *, address: str = ""
    ) -> None:
        """`address` tells this replica apart from others on its host."""
        self.host = host
        self._memory, self._clock, self._store = memory, clock, store
        self._me = View(host, address=address)
        self._view, self._shown = self._me, self._me
        self._others: tuple[View, ...] = ()
        self._silent: dict[str, tuple[float, list[View]]] = {}  # by address, what was heard last, and until when
        self._read_at: float | None = None
        self._lapses_at = math.inf  # steady time at which one of the others counts as dead, unless it was heard of
        self._works = True
        self._apart = False  # an environment of its own shares the journal
        self._news, self._first = asyncio.Event(), asyncio.Event()
        self._exchanging = asyncio.Lock()
        self.seen: Callable[[], None] = lambda: None
        """Called when the others' views were read, before what they told is learnt."""
        self.doubted: Callable[[Mapping[Key, Notice]], None] = lambda _: None
        """Called then with what dead replicas may have told."""
        if store is None:
            self._first.set()

    @property
    def others(self) -> tuple[View, ...]:
        """Views of the other replicas, unless they are too old to be believed."""
        return self._others if self._is_recent else ()

    @property
    def count(self) -> int:
        """Number of living replicas, this one among them."""
        return 1 + sum(not view.former for view in self.others)

    @property
    def living(self) -> dict[str, str]:
        """Hosts of the other living replicas, by address."""
        return {view.address: view.host for view in self.others if not view.former}

    def see_failing(self, check: str) -> bool | None:
        """True if another replica sees this check fail, on whichever host. None if that is not known: the journal does
        not tell of the others now, or one that saw it fail fell silent a moment ago."""
        if self._store is not None and not (self._works and self._is_recent):
            return None if self._others or not self._store.is_sqlite else False
        if _see_failing(self._others, check):
            return True
        soon = self._clock.steady() - _CUT_OFF
        return None if any(at > soon and _see_failing(views, check) for at, views in self._silent.values()) else False

    def checks(self) -> Mapping[str, bool] | None:
        """Return the names of the checks that other replicas look at, each with whether one of them sees a failure that
        is acknowledged. None if that is not known: as above, or another environment shares the journal."""
        alone = self._store is None or (self._store.is_sqlite and not self._others)
        if self._apart or not (alone or (self._works and self._is_recent)):
            return None
        found: dict[str, bool] = {}
        for view in (view for view in self._others if not view.own):
            for subject in (*view.subjects, *view.firing):
                if subject.startswith("check:"):
                    name = subject.removeprefix("check:").partition("@")[0]
                    seen = view.firing.get(subject)
                    found[name] = found.get(name, False) or (seen is not None and seen.quiet is Quiet.ACKNOWLEDGED)
        return found

    @property
    def _is_recent(self) -> bool:
        return self._read_at is not None and self._clock.steady() - self._read_at <= LEASE

    @property
    def may_repeat(self) -> bool:
        """True if another replica may tell what this one tells without asking."""
        if self._store is None or self._apart:
            return False
        if not self._is_recent:  # others may have started since
            return not self._store.is_sqlite or bool(self._others)
        return bool(self._others)

    async def tried_once(self) -> None:
        """Wait for the first exchange, or its failure."""
        await self._first.wait()

    def merge(self, own: Mapping[str, Seen], held: Mapping[str, Quiet] = MappingProxyType({})) -> dict[str, Seen]:
        """Show the others what this replica sees, and return what is to be told. What is `held` back here stays so in
        spite of what others see, who may not know why yet."""
        firing = {key: seen for key, seen in own.items() if seen.notice.firing}
        before = self._view
        if before.subjects != own.keys() or _differ(before.firing, firing):
            self._view = replace(self._me, firing=firing, subjects=frozenset(own))
            self._news.set()
        current = merged(own, self._me, self.others)
        for key, seen in current.items():
            if seen.quiet is Quiet.NO and (quiet := held.get(key, Quiet.NO)) is not Quiet.NO:
                current[key] = replace(seen, quiet=quiet)
        return current

    async def claim(
        self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float
    ) -> Answer | None:
        """Claim the right to tell a receiver. None where nobody else can be asked: then it is told. Before an end the
        others are heard once more: one that is killed before its next exchange may have told of the failure since."""
        if self._store is None or self._apart:
            return None
        ends = any(notice.about == "check" and not notice.firing for notice, _ in wanted.values())
        if ends and (self._read_at is None or self._clock.steady() - self._read_at > _TOGETHER):
            await self.answered(self._exchange(), name="views")
        answer = await self.answered(self._claim(receiver, wanted, seconds), name="claim")
        # Of claims alone: a slow question before one must not leave it too little time, or both replicas tell.
        self._works = self._works and answer is not None
        return answer

    async def answered(self, question: Coroutine[Any, Any, T], *, name: str) -> T | None:
        """Return what the journal answers, or None where that takes longer than a notice waits."""
        patience = _PATIENCE if self._works else _LITTLE_PATIENCE
        try:
            return await with_deadline(patience, question, name=name)
        except (JournalError, TimeoutError):  # which the journal itself logs
            pass
        except Exception:  # alarms must not depend on it
            _log.exception("journal could not be asked before a notification, it is sent unasked", question=name)
        return None

    async def _claim(
        self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float
    ) -> Answer | None:
        lapsed = self._clock.steady() >= self._lapses_at
        if lapsed or self._view is not self._shown:  # whoever learns of the notice shall know of its cause
            await self._exchange()
        if lapsed:  # what a dead one saw does not count any more: ask again for what there is to tell then
            return Answer({})
        return await self._memory.claim(receiver, wanted, seconds)

    async def run(self) -> None:
        """Exchange views until cancelled."""
        while self._store is not None:
            self._news.clear()
            try:
                await with_deadline(_EXCHANGE, self._exchange(), name="replicas")
                self._works = True
            except (JournalError, TimeoutError):  # which the journal itself logs
                self._works = False
            except Exception:  # neither notices nor health depend on it
                self._works = False
                _log.exception("views not exchanged with other replicas")
            self._first.set()
            if not self._works:
                await asyncio.sleep(LOOK)
                continue
            if await set_within(LOOK, self._news):
                await asyncio.sleep(_TOGETHER)

    async def leave(self) -> None:
        """Leave the others. What this replica alone sees counts until its lease ends, or its next start has looked.
        Raises JournalError."""
        if self._store is not None:
            await self._store.leave(at_once=not self._shown.firing)

    async def _exchange(self) -> None:
        assert self._store is not None
        async with self._exchanging:
            await self._exchange_now(self._store)

    async def _exchange_now(self, store: ReplicaStore) -> None:
        view, known, changes, asked = self._view, self._memory.known, self._memory.changes, self._clock.steady()
        found = await store.exchange(view, known, LEASE)
        if found.others and not self._others:
            _log.info("other replicas share the journal", hosts=sorted({view.host for view in found.others}))
        self._listen(found.others)
        self._shown, self._others, self._read_at = view, found.others, self._clock.steady()
        self._lapses_at = asked + found.lapses
        if bool(found.foreign) is not self._apart:
            self._apart = bool(found.foreign)
            if self._apart:
                _log.warning("another environment shares the journal: this replica tells everything itself")
            else:
                _log.info("no other environment shares the journal any more")
        self.seen()
        if self._memory.loaded and changes == self._memory.changes and not self._apart:
            self._memory.learn(found.changed, found.kept, known)
            self.doubted(found.doubtful)
        self._first.set()

    def _listen(self, others: tuple[View, ...]) -> None:
        """Note who is not heard any more, dead or cut off from the journal."""
        now, heard = self._clock.steady(), {view.address for view in others}
        for view in self._others:
            if view.firing and view.address not in heard and not view.own:
                at, views = self._silent.get(view.address, (now, []))
                self._silent[view.address] = at, [*views, view]
        self._silent = {key: it for key, it in self._silent.items() if key not in heard and now - it[0] < _CUT_OFF}


def _see_failing(views: Iterable[View], check: str) -> bool:
    subject = f"check:{check}"
    keys = (key for view in views if not view.own for key in view.firing)
    return any(key == subject or key.startswith(f"{subject}@") for key in keys)


def _differ(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> bool:
    return before.keys() != now.keys() or any(seen.is_news_after(before[key]) for key, seen in now.items())
