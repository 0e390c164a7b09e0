"""Delivery queue of one notifier: sends what its receiver does not know yet. Nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from healthd.checks.failures import describe
from healthd.notifiers.contract import DeliveryError, Notifier, NotifierConfig
from healthd.notifiers.notice import Notice
from healthd.notify.pace import Pace
from healthd.notify.set_aside import SetAside, longer
from healthd.notify.subjects import Subjects
from healthd.notify.summaries import summary_of
from healthd.notify.told import Told
from healthd.notify.turns import BUSY, Turns
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_AT_ONCE = 500  # notices in one combined message
_ONE_BY_ONE = 2.0  # seconds for which notices are sent one by one; the rest is then combined


@dataclass(frozen=True, slots=True)
class DeliveryMetrics:
    """Callbacks about deliveries: plain calls. `told(outcome, notices)`; `up(works)`; `waiting(notices)`;
    `note(subject, told)` stores a sent notification beyond this process; `release(subjects)` leaves them to others."""

    told: Callable[[str, int], None]
    up: Callable[[bool], None]
    waiting: Callable[[int], None]
    note: Callable[[str, Told | None], None]
    release: Callable[[Sequence[str]], None] = lambda _: None


class DeliveryQueue:
    """Delivers new notices in the background: the worst first, at a bounded rate, with retries until accepted."""

    def __init__(
        self,
        name: str,
        config: NotifierConfig,
        notifier: Notifier,
        *,
        clock: Clock,
        redact: Callable[[str], str],
        books: DeliveryMetrics,
        turns: Turns | None = None,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`look` learns what may hold back a notice about a check; it is called before any is sent."""
        self.name, self.config = name, config
        self._turns, self._look = turns, look
        self._notifier, self._clock, self._redact, self._books = notifier, clock, redact, books
        self._pace = Pace(config.per_minute)
        self._aside = SetAside(_AT_ONCE)
        self._news = asyncio.Event()
        self.subjects = Subjects(
            config,
            notifier,
            clock=clock,
            news=self._news.set,
            note=books.note,
            elsewhere=lambda: books.told("elsewhere", 1),
        )
        self._pause, self._asked_to_wait = 0.0, False
        self._down = False
        books.up(True)
        books.waiting(0)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._wait_for_news()
            await self._rest()
            await self.deliver()

    async def deliver(self, *, hurry: bool = False) -> None:
        """Send all new notices, message after message, until nothing is left or a message is refused; that one is
        retried separately. With `hurry`, notices are combined where possible, and what the rate does not allow now is
        left to the next start."""
        self._news.clear()
        began = self._clock.steady() - (_ONE_BY_ONE if hurry else 0.0)
        looked: set[tuple[str, str]] = set()
        while news := self._to_send():
            self._books.waiting(len(news))
            if not (ready := self._aside.ready(news, self._clock.steady())):
                self._pause = self._aside.due_in(news, self._clock.steady())
                self._news.set()
                break
            new = {(notice.key, notice.standing) for notice in ready if notice.about in ("check", "summary")} - looked
            if self._look is not None and new:
                looked |= new
                await self._look()
                continue
            if self._turns is not None:
                if await self._turns.take(ready, self.subjects.told, self.subjects.learn):
                    continue
                ready = [self._turns.named(notice) for notice in ready]
            news = [self.subjects.as_reminder(notice) for notice in ready]
            urgent = news[0].is_urgent
            free = self._pace.free(self._clock.steady(), urgent=urgent)
            if not free:
                if hurry:
                    break
                await self._wait_for_turn(urgent)
                continue
            late = self._clock.steady() - began >= _ONE_BY_ONE
            message = self._next_message(news, free=1 if late else free)
            if self._turns is not None and message[0].about == "summary" and self._notifier.keeps_incidents:
                # it has an incident of its own, which somebody must end
                await self._turns.take(message, self.subjects.told, self.subjects.learn)
            if not await self._send(message):
                self._news.set()
                break
        if self._turns is not None:
            self._books.release(self._turns.end_all())
            if self._turns.any_busy:
                asyncio.get_running_loop().call_later(BUSY, self._news.set)
        self._books.waiting(len(self._to_send()))

    def _next_message(self, news: Sequence[Notice], free: int) -> list[Notice]:
        """Return the notices of the next message; `free` is the number of messages that may be sent now."""
        if self._notifier.grouped:
            return list(news[:_AT_ONCE])
        together = [notice for notice in news if notice.firing or not self._notifier.keeps_incidents]
        if news[0] not in together or len(together) <= max(free, 1):
            return [news[0]]
        return [news[0]] if free > 1 else [summary_of(together)]

    async def _send(self, batch: list[Notice]) -> bool:
        """Make one attempt. False when the receiver did not accept it and a retry is due later."""
        self._pace.sent(self._clock.steady())
        batch = [replace(notice, before=self.subjects.before(notice)) for notice in batch]
        said = [self._turns.remark(notice) for notice in batch] if self._turns is not None else batch
        try:
            await with_deadline(self.config.timeout, self._notifier.send(said), name=f"notify:{self.name}")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return self._failed(error, batch)
        self._delivered("sent", batch)
        self._end_turns(batch)
        self._aside.taken(batch, self._clock.steady())
        self._recovered()
        return True

    def _end_turns(self, batch: Sequence[Notice]) -> None:
        if self._turns is not None:
            self._books.release(self._turns.end(batch))

    def _to_send(self) -> list[Notice]:
        """Return what no other replica is sending, the most urgent first."""
        unsent, turns = self.subjects.unsent(), self._turns
        return unsent if turns is None else [notice for notice in unsent if not turns.is_others(notice.key)]

    def _delivered(self, outcome: str, batch: Sequence[Notice]) -> None:
        for notice in batch:
            self._books.told(outcome, len(notice.parts) or 1)
        self.subjects.delivered(batch)

    def _recovered(self) -> None:
        if self._down:
            _log.info("notifier recovered", notifier=self.name)
        self._down, self._pause, self._asked_to_wait = False, 0.0, False
        self._books.up(True)

    def _failed(self, error: Exception, batch: Sequence[Notice]) -> bool:
        now = self._clock.steady()
        hopeless = self._aside.is_hopeless(batch, now)
        final = hopeless or (isinstance(error, DeliveryError) and error.final)
        text = str(error) if isinstance(error, DeliveryError | TimeoutError) else describe(error)
        if hopeless or not self._down:
            _log.error("notifier delivery failed", notifier=self.name, problem=self._redact(text), gives_up=final)
        self._down = True
        self._books.up(False)
        if final:  # the next message may succeed; this one never will
            self._delivered("refused", batch)
            self._end_turns(batch)
            self._aside.forget(notice.key for notice in batch)
            return True
        self._books.told("failed", sum(len(notice.parts) or 1 for notice in batch))
        if isinstance(error, TimeoutError) or (isinstance(error, DeliveryError) and error.perhaps_taken):
            self.subjects.unanswered(batch)
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        self._end_turns(batch)  # another replica may reach it
        self._aside.failed(batch, now)
        self._pause, self._asked_to_wait = max(asked or 0.0, longer(self._pause)), asked is not None
        return False

    async def _rest(self) -> None:
        """Collect simultaneous notices; after a failed message wait for the retry, unless there is another notice and
        nothing yet suggests that the receiver is down."""
        if not self._pause:
            await asyncio.sleep(self.config.group_wait)
            return
        if self._asked_to_wait or self._aside.receiver_is_down:
            await asyncio.sleep(self._pause)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                while not self._aside.never_tried(self._to_send()):
                    self._news.clear()
                    await self._news.wait()
                await asyncio.sleep(self.config.group_wait)

    async def _wait_for_turn(self, urgent: bool) -> None:
        """Wait until the rate allows a message, or until there may be a more urgent notice."""
        self._news.clear()
        await set_within(self._pace.pause(self._clock.steady(), urgent=urgent), self._news)

    async def _wait_for_news(self) -> None:
        intervals = [each for each in (self._notifier.repeat, self.config.repeat_interval) if each is not None]
        await set_within(min(intervals, default=None), self._news)
