"""Notifications: reads the board every second, accepts notices of gates, and passes both to the queues of the
routes.

Replicas that share a journal see together, and one of them tells.

It compares states rather than following changes: a notifier that is added, a maintenance window that ends, a check that
is removed cause notifications without a transition, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from healthd.config.settings import Settings
from healthd.http.session import shared_session
from healthd.journal.database import JournalError
from healthd.metrics import Metrics
from healthd.monitoring.board import Board
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import MisconfiguredNotifier, NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.routes import Route
from healthd.notify.check_notices import check_notice, key_of
from healthd.notify.delivery_queue import DeliveryMetrics, DeliveryQueue
from healthd.notify.hearsay import Hearsay
from healthd.notify.quiet import Quiet, held_by_windows, quiet_of
from healthd.notify.replicas import Replicas
from healthd.notify.told import Key, Memory, Told, receiver_of
from healthd.notify.turns import Turns
from healthd.notify.view import Seen, subjects_of
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_STUMBLED = 5.0
_PATIENCE = 5.0  # seconds for which alarms wait for the notifications stored in the journal
_SWEEP = 1.0  # seconds between two reads of the board
_LAST_WORDS = 3.0  # seconds to empty the queues when the daemon stops


class Notifications:
    """Notifiers of a configuration. Built in a running event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        board: Board,
        clock: Clock,
        redact: Callable[[str], str],
        metrics: Metrics,
        memory: Memory | None = None,
        replicas: Replicas | None = None,
        read_windows: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`read_windows` makes the board know every window that is in the journal. It raises JournalError."""
        self._board, self._clock, self._redact, self._metrics = board, clock, redact, metrics
        self._session = shared_session()
        self._queues: dict[str, DeliveryQueue] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._routes: dict[str, list[Route]] = {}
        self._environment = settings.environment
        self._memory = memory or Memory(None)
        self._memory.learnt = self._learn
        self._replicas = replicas or Replicas(socket.gethostname(), self._memory, clock)
        self._replicas.seen, self._replicas.doubted = self.sweep, self._doubt
        self._source = self._replicas.host
        self._hearsay, self._read_windows = Hearsay(), read_windows
        self.look_again: Callable[[Sequence[str]], None] = lambda _: None
        """Called with the checks of which another replica has just found something else."""
        self.recovered: Callable[[Collection[str]], None] = lambda _: None
        """Called with the checks that no replica sees failing any more."""
        self._failing: frozenset[str] = frozenset()
        metrics.watch_replicas(lambda: self._replicas.count)
        self._ready, self._changed = asyncio.Event(), asyncio.Event()
        self._early: list[Notice] = []
        self._standing: dict[str, Notice] = {}  # of gates, for routes that wait
        if self._memory.loaded:
            self._ready.set()
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Apply a configuration. A notifier that did not change continues undisturbed."""
        moved = settings.environment != self._environment
        self._environment, self._external_url = settings.environment, settings.http.external_url
        wanted = settings.active_notifiers
        for name, queue in list(self._queues.items()):
            if moved or wanted.get(name) != queue.config:
                self._tasks.pop(name).cancel()
                del self._queues[name]
                self._metrics.forget_notifier(name)
        self._routes = {name: [] for name in wanted}
        for route in settings.routes:
            for name in route.to:
                if route.holds_in(settings.environment) and name in wanted:
                    self._routes[name].append(route)
        for name, config in wanted.items():
            if name not in self._queues and self._routes[name]:
                self._open(name, config)

    async def run(self) -> None:
        """Read the board until cancelled, at once when something changed."""
        keeping = [asyncio.create_task(self._recall(), name="told"), asyncio.create_task(self._memory.run())]
        keeping.append(asyncio.create_task(self._replicas.run(), name="replicas"))
        try:
            while True:
                await set_within(_SWEEP, self._changed)
                self._changed.clear()
                self.sweep()
        finally:
            await _cancelled(keeping)

    def changed(self) -> None:
        """Read the board now, because a check changed."""
        self._changed.set()

    async def _recall(self) -> None:
        """Load the notifications sent before the start. A journal that cannot be read delays alarms only briefly."""
        loading = asyncio.create_task(self._load())
        try:
            await asyncio.wait({loading}, timeout=_PATIENCE)
            if not loading.done():
                _log.warning("journal unreadable, notifications from before the start are sent again")
                self._start_telling()
                await asyncio.wait({loading})
            for queue in self._queues.values():
                self._remind(queue)
            self._start_telling()
        finally:
            await _cancelled([loading])

    async def _load(self) -> None:
        await self._memory.load()
        await self._replicas.tried_once()

    def _start_telling(self) -> None:
        self._ready.set()
        while self._early:
            self.tell(self._early.pop(0))

    def _remind(self, queue: DeliveryQueue) -> None:
        """Pass a queue the notifications that its receiver got; those that only another host sees are left to that
        host."""
        told = self._memory.of(receiver_of(queue.name, queue.config))
        mine = {key: was for key, was in told.items() if self._is_ours(was.notice)}
        kept = {was.within for was in mine.values()}
        queue.subjects.remember({key: was for key, was in mine.items() if was.notice.about != "summary" or key in kept})

    def _is_ours(self, notice: Notice) -> bool:
        """True unless another host has to tell its end, because that alone sees something of it."""
        ours = notice.facts.get("host", self._source) == self._source
        return ours and all(map(self._is_ours, notice.parts))

    def _learn(self, receiver: str, subject: str, told: Told | None) -> None:
        """Pass on what another replica has told."""
        for queue in self._queues.values():
            if receiver_of(queue.name, queue.config) == receiver and (told is None or self._is_ours(told.notice)):
                queue.subjects.learn(subject, told)

    def _doubt(self, perhaps: Mapping[Key, Notice]) -> None:
        """Pass on what a replica that died may have told."""
        for queue in self._queues.values():
            receiver = receiver_of(queue.name, queue.config)
            notices = {subject: it for (name, subject), it in perhaps.items() if name == receiver and self._is_ours(it)}
            queue.subjects.doubt(notices)

    async def _deliver(self, queue: DeliveryQueue) -> None:
        """Deliver until cancelled. A bug in one queue is logged, pauses its notifier, and affects no other."""
        await self._ready.wait()
        while True:
            try:
                await queue.run()
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("notifier failed with an internal error", notifier=queue.name)
                await asyncio.sleep(_STUMBLED)

    def sweep(self) -> None:
        """Pass the state of the checks to every queue. What another replica ran, that one tells."""
        if not self._queues and not self._replicas.others:
            return
        states, now, url = self._board.checks(), self._clock.now(), self._external_url
        own: dict[str, Seen] = {}
        for state in (it for it in states if it.probe is not None and not it.elsewhere):
            notice = check_notice(state, self._source, now, url, self._board.depending_on(state.name))
            own[notice.key] = Seen(notice, quiet_of(state), state.config.replicas)
        if names := self._hearsay.news(own, self._replicas.others):
            self.look_again(names)
        known = {key_of(state, self._source): held_by_windows(state) for state in states}
        current = self._replicas.merge(own, known)
        before = self._failing
        self._failing = frozenset(it.notice.name for it in current.values() if it.notice.firing)
        if over := before - self._failing:
            self.recovered(over)
        keys = {*known, *subjects_of(own, self._replicas.others)}
        for queue in self._queues.values():
            queue.subjects.forget_all_but(keys)
            for seen in current.values():
                self._put(queue, seen.notice, seen.quiet)
            for notice in self._standing.values():
                self._put(queue, notice)

    async def _look_at_windows(self) -> None:
        """Learn of the windows that others have added or ended, and of what they hold back. A journal that is away
        holds up nothing for long."""
        if self._read_windows is not None:
            await self._replicas.answered(self._read_windows(), name="windows")
            self.sweep()

    def tell(self, notice: Notice) -> None:
        """Send a notice about something other than a check. Neither blocks nor fails."""
        if not self._ready.is_set():  # whether it ends a notification sent before the start is unknown until then
            self._early.append(notice)
            return
        facts = {key: self._redact(value) for key, value in notice.facts.items()}
        clean = replace(notice, summary=self._redact(notice.summary), detail=self._redact(notice.detail), facts=facts)
        if clean.firing and clean.lasts is None:
            self._standing[clean.key] = clean
        else:
            self._standing.pop(clean.key, None)
        for queue in self._queues.values():
            self._put(queue, clean)

    async def close(self) -> None:
        """Deliver what is left, for a limited time, and stop."""
        await _cancelled(self._tasks.values())
        last = [asyncio.create_task(queue.deliver(hurry=True)) for queue in self._queues.values()]
        if last:
            _, late = await asyncio.wait(last, timeout=_LAST_WORDS)
            await _cancelled(late)
        with suppress(JournalError, TimeoutError):  # then it is sent once more after the next start
            await with_deadline(_LAST_WORDS, self._leave(), name="what was told")
        await self._session.close()

    async def _leave(self) -> None:
        await self._memory.flush()
        await self._replicas.leave()

    def _put(self, queue: DeliveryQueue, notice: Notice, quiet: Quiet = Quiet.NO) -> None:
        known, now = queue.subjects.has_sent(notice.key), self._clock.now()
        acknowledged = quiet is Quiet.ACKNOWLEDGED
        wanted = any(
            route.takes(notice) and (known or route.is_due(notice, now, acknowledged=acknowledged))
            for route in self._routes[queue.name]
        )
        queue.subjects.put(notice, wanted=wanted, quiet=quiet)

    def _open(self, name: str, config: NotifierConfig) -> None:
        books = self._books(name, config)
        if isinstance(config, MisconfiguredNotifier):
            books.up(False)
            _log.warning("notifier misconfigured, it sends nothing", notifier=name, not_set=list(config.missing))
            return
        context = NotifierContext(self._session, self._clock, self._environment, self._source)
        notifier = NOTIFIERS.find(config.kind)(config, context)
        turns = None
        if notifier.repeat is None:  # one that is repeated knows what several replicas tell as one
            turns = Turns(receiver_of(name, config), self._replicas, self._clock, config.timeout)
        queue = DeliveryQueue(
            name,
            config,
            notifier,
            clock=self._clock,
            redact=self._redact,
            books=books,
            turns=turns,
            look=self._look_at_windows,
        )
        self._queues[name] = queue
        if self._memory.loaded:
            self._remind(queue)
        self._tasks[name] = asyncio.create_task(self._deliver(queue), name=f"delivery-queue:{name}")

    def _books(self, name: str, config: NotifierConfig) -> DeliveryMetrics:
        metrics, receiver = self._metrics, receiver_of(name, config)
        return DeliveryMetrics(
            told=lambda outcome, notices: metrics.notices.labels(name, outcome).inc(notices),
            up=lambda works: metrics.notifier_up.labels(name).set(works),
            waiting=lambda notices: metrics.notices_waiting.labels(name).set(notices),
            note=lambda subject, told: self._memory.note(receiver, subject, told),
            release=lambda subjects: self._memory.release(receiver, subjects),
        )


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
