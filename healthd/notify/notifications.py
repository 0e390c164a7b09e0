"""Tells people: looks at the board every second, takes notices of gates, and hands both to the mailboxes of the routes.

It compares states rather than following changes: a notifier that is added, a maintenance window that ends, a check
that is removed are told without a transition, and nothing is told twice.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace

import aiohttp
import structlog

from healthd.config.settings import Settings
from healthd.metrics import Metrics
from healthd.monitoring.board import Board
from healthd.notifiers import KINDS
from healthd.notifiers.contract import MisconfiguredNotifier, NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.routes import Route
from healthd.notify.check_notices import check_notice
from healthd.notify.delivery_queue import Bookkeeping, Mailbox
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_SWEEP = 1.0  # seconds between two looks at the board
_LAST_WORDS = 2.0  # seconds that mailboxes get to be emptied when the daemon stops


class Notifications:
    """All notifiers of a configuration. Built in a running event loop."""

    def __init__(
        self, settings: Settings, *, board: Board, clock: Clock, redact: Callable[[str], str], metrics: Metrics
    ) -> None:
        self._board, self._clock, self._redact, self._metrics = board, clock, redact, metrics
        self._source = socket.gethostname()
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._mailboxes: dict[str, Mailbox] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._routes: dict[str, list[Route]] = {}
        self._environment = settings.environment
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Take a configuration. A notifier that did not change goes on undisturbed."""
        moved = settings.environment != self._environment
        self._environment = settings.environment
        wanted = settings.active_notifiers
        for name, mailbox in list(self._mailboxes.items()):
            if moved or wanted.get(name) != mailbox.config:
                self._tasks.pop(name).cancel()
                del self._mailboxes[name]
                self._metrics.forget_notifier(name)
        self._routes = {name: [] for name in wanted}
        for route in settings.routes:
            for name in route.to:
                if route.holds_in(settings.environment) and name in wanted:
                    self._routes[name].append(route)
        for name, config in wanted.items():
            if name not in self._mailboxes and self._routes[name]:
                self._open(name, config)

    async def run(self) -> None:
        """Look at the board until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP)
            self.sweep()

    def sweep(self) -> None:
        """Tell every mailbox how the checks stand."""
        states = [state for state in self._board.checks() if state.probe is not None]
        notices = [check_notice(state, self._source, self._clock.now()) for state in states] if self._mailboxes else []
        keys = {notice.key for notice in notices}
        for mailbox in self._mailboxes.values():
            mailbox.forget_all_but(keys)
            for notice in notices:
                self._put(mailbox, notice)

    def tell(self, notice: Notice) -> None:
        """Tell of something else than a check. Neither blocks nor fails."""
        facts = {key: self._redact(value) for key, value in notice.facts.items()}
        clean = replace(notice, summary=self._redact(notice.summary), detail=self._redact(notice.detail), facts=facts)
        for mailbox in self._mailboxes.values():
            self._put(mailbox, clean)

    async def close(self) -> None:
        """Deliver what is left, for a moment, and end."""
        await _cancelled(self._tasks.values())
        last = [asyncio.create_task(mailbox.deliver()) for mailbox in self._mailboxes.values()]
        if last:
            _, late = await asyncio.wait(last, timeout=_LAST_WORDS)
            await _cancelled(late)
        await self._session.close()

    def _put(self, mailbox: Mailbox, notice: Notice) -> None:
        mailbox.put(notice, wanted=any(route.takes(notice) for route in self._routes[mailbox.name]))

    def _open(self, name: str, config: NotifierConfig) -> None:
        books = self._books(name)
        if isinstance(config, MisconfiguredNotifier):
            books.up(False)
            _log.warning("notifier is misconfigured and tells nobody", notifier=name, not_set=list(config.missing))
            return
        context = NotifierContext(self._session, self._clock, self._environment, self._source)
        notifier = KINDS[config.kind](config, context)
        mailbox = Mailbox(name, config, notifier, clock=self._clock, redact=self._redact, books=books)
        self._mailboxes[name] = mailbox
        self._tasks[name] = asyncio.create_task(mailbox.run(), name=f"mailbox:{name}")

    def _books(self, name: str) -> Bookkeeping:
        metrics = self._metrics
        return Bookkeeping(
            told=lambda outcome, notices: metrics.notices.labels(name, outcome).inc(notices),
            up=lambda works: metrics.notifier_up.labels(name).set(works),
            waiting=lambda notices: metrics.notices_waiting.labels(name).set(notices),
        )


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
