"""What one notifier has yet to deliver: how every subject stands, held against what was told. Nothing waits for it.

There is one entry a subject, the newest; so a receiver that is down for an hour costs no memory, and is told of how
things stand when it is back rather than of all that has been.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from healthd.checks.failures import describe
from healthd.notifiers.contract import DeliveryError, Notifier, NotifierConfig
from healthd.notifiers.notice import Notice
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import within

_log = structlog.get_logger(__name__)
_AT_ONCE = 50  # notices in a message
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Who is told how it goes: plain calls. `told(outcome, notices)`; `up(works)`; `waiting(notices)`."""

    told: Callable[[str, int], None]
    up: Callable[[bool], None]
    waiting: Callable[[int], None]


class Mailbox:
    """Delivers in the background what is news, put together, at a bounded rate, again until it is taken."""

    def __init__(
        self,
        name: str,
        config: NotifierConfig,
        notifier: Notifier,
        *,
        clock: Clock,
        redact: Callable[[str], str],
        books: Bookkeeping,
    ) -> None:
        self.name, self.config = name, config
        self._notifier, self._clock, self._redact, self._books = notifier, clock, redact, books
        self._now: dict[str, Notice] = {}
        self._told: dict[str, tuple[Notice, float]] = {}
        self._sent: deque[float] = deque(maxlen=config.per_minute)
        self._news = asyncio.Event()
        self._pause = 0.0
        self._down = False
        books.up(True)
        books.waiting(0)

    def put(self, notice: Notice, *, wanted: bool = True) -> None:
        """How a subject stands. One that is not `wanted` here any more, but was firing, is over here."""
        if not wanted:
            before = self._now.get(notice.key)
            if before is None or not before.firing:
                return
            notice = replace(notice, firing=False)
        self._now[notice.key] = notice
        if self._is_news(notice):
            self._news.set()

    def forget_all_but(self, keys: set[str]) -> None:
        """Subjects that are no more: what was firing is over."""
        for key, notice in list(self._now.items()):
            if notice.about == "check" and key not in keys and notice.firing:
                gone = replace(
                    notice, firing=False, standing="removed", summary=f"{notice.name} is not checked any more"
                )
                self.put(replace(gone, since=self._clock.now()))

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._wait_for_news()
            await asyncio.sleep(self._pause or self.config.wait)
            await self._wait_for_turn()
            await self.deliver()

    async def deliver(self) -> None:
        """One try to tell all that is news now."""
        self._news.clear()
        news = self._all_news()
        self._books.waiting(len(news))
        if not news:
            return
        batch = news[:_AT_ONCE] if self._notifier.grouped else news[:1]
        self._sent.append(self._clock.steady())
        try:
            await within(self.config.timeout, self._notifier.send(batch), name=f"notify:{self.name}")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._failed(error, batch)
        else:
            self._delivered("sent", batch)
            self._recovered()
        if news := self._all_news():
            self._news.set()
        self._books.waiting(len(news))

    def _all_news(self) -> list[Notice]:
        self._drop_what_is_over()
        return [notice for notice in self._now.values() if self._is_news(notice)]

    def _is_news(self, notice: Notice) -> bool:
        told = self._told.get(notice.key)
        if told is None:
            return notice.firing or notice.always or self._notifier.keeps_incidents
        before, at = told
        if notice.differs_from(before):
            return notice.firing or before.firing or notice.always
        repeat = self._notifier.repeat
        return notice.firing and repeat is not None and self._clock.steady() - at >= repeat

    def _drop_what_is_over(self) -> None:
        for key, notice in list(self._now.items()):
            if notice.lasts is not None and self._clock.now() >= notice.since + timedelta(seconds=notice.lasts):
                del self._now[key]
                self._told.pop(key, None)

    def _delivered(self, outcome: str, batch: Sequence[Notice]) -> None:
        self._books.told(outcome, len(batch))
        for notice in batch:
            self._told[notice.key] = notice, self._clock.steady()

    def _recovered(self) -> None:
        if self._down:
            _log.info("notifier delivers again", notifier=self.name)
        self._down, self._pause = False, 0.0
        self._books.up(True)

    def _failed(self, error: Exception, batch: Sequence[Notice]) -> None:
        final = isinstance(error, DeliveryError) and error.final
        text = str(error) if isinstance(error, DeliveryError | TimeoutError) else describe(error)
        if not self._down:
            _log.error("notifier cannot deliver", notifier=self.name, problem=self._redact(text), gives_up=final)
        self._down = True
        self._books.up(False)
        if final:  # the next message may fare better; this one never will
            self._delivered("refused", batch)
            return
        self._books.told("failed", len(batch))
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        grown = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause))
        self._pause = max(asked or 0.0, grown * random.uniform(0.8, 1.0))

    async def _wait_for_news(self) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), self._notifier.repeat)
        except TimeoutError:
            return

    async def _wait_for_turn(self) -> None:
        if len(self._sent) == self.config.per_minute:
            await asyncio.sleep(max(0.0, self._sent[0] + _MINUTE - self._clock.steady()))
