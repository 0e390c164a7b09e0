"""Delivery queue of one notifier: compares the current notice of every subject with the last one sent. Nothing waits
for it.

There is one entry per subject, the newest; so a receiver that is down for an hour costs no memory, and gets the current
state when it is back rather than every change since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from healthd.checks.failures import describe
from healthd.notifiers.contract import DeliveryError, Notifier, NotifierConfig
from healthd.notifiers.notice import Notice, urgency
from healthd.notify.pace import Pace
from healthd.notify.quiet import Quiet
from healthd.notify.set_aside import SetAside, longer
from healthd.notify.summaries import end_of, summary_of
from healthd.notify.told import Told
from healthd.notify.turns import BUSY, Turns
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline

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


class Mailbox:
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
    ) -> None:
        self.name, self.config = name, config
        self._turns = turns
        self._notifier, self._clock, self._redact, self._books = notifier, clock, redact, books
        self._now: dict[str, Notice] = {}
        self._told: dict[str, Told] = {}
        self._sent_at: dict[str, float] = {}  # steady time, for notices that are repeated
        self._unreminded: set[str] = set()  # silenced or acknowledged
        self._pace = Pace(config.per_minute)
        self._aside = SetAside(_AT_ONCE)
        self._news = asyncio.Event()
        self._pause, self._asked_to_wait = 0.0, False
        self._down = False
        books.up(True)
        books.waiting(0)

    def remember(self, told: Mapping[str, Told]) -> None:
        """Load the notifications sent before the start. They count as current until newer notices arrive."""
        for key, before in told.items():
            if key not in self._told:
                self._told[key] = before
                self._now.setdefault(key, before.notice)
                self._now[key] = self._with_its_beginning(self._now[key])
        self._news.set()

    def learn(self, key: str, told: Told | None) -> None:
        """Take over what another replica has told, or None when it told the end."""
        before, now = self._told.get(key), self._now.get(key)
        waited = now is not None and self._is_news(now)
        if told is not None:
            self._told[key] = told
            passed = now is not None and now.about != "check" and (not waited or now.since < told.notice.since)
            self._now[key] = self._with_its_beginning(told.notice if now is None or passed else now)
        else:
            self._told.pop(key, None)
            self._sent_at.pop(key, None)
            is_that = now is not None and before is not None and not now.differs_from(before.notice)
            if is_that or key.startswith("summary:"):  # unless it still fires here, which the next sweep tells
                self._now.pop(key, None)
        if waited and not (key in self._now and self._is_news(self._now[key])):
            self._books.told("elsewhere", 1)
        self._news.set()

    def put(self, notice: Notice, *, wanted: bool = True, quiet: Quiet = Quiet.NO) -> None:
        """Store the current notice of a subject. One that is not `wanted` here any more, but was firing, is over
        here. One that is `quiet` and fires is not stored, so that it is sent when the quiet ends; an end is."""
        told = self._before(notice)
        reminded = quiet is Quiet.NO
        self._unreminded.discard(notice.key) if reminded else self._unreminded.add(notice.key)
        if notice.firing and quiet.holds(notice, told):
            if told is None:
                self._now.pop(notice.key, None)  # it was about to be sent
            return
        if not wanted:
            before = self._now.get(notice.key)
            if before is None or not before.firing:
                return
            notice = replace(notice, firing=False, always=False)
        self._now[notice.key] = notice = self._with_its_beginning(notice)
        if self._is_news(notice):
            self._news.set()

    def forget_all_but(self, keys: set[str]) -> None:
        """Keep only these subjects: of the others, what was firing is over."""
        for key, notice in list(self._now.items()):
            if notice.about == "check" and key not in keys and notice.firing:
                gone = replace(
                    notice, firing=False, standing="removed", summary=f"{notice.name} is not checked any more"
                )
                self.put(replace(gone, since=self._clock.now()))

    def has_sent(self, key: str) -> bool:
        """True if the receiver knows of something that it fires."""
        told = self._told.get(key)
        return told is not None and told.notice.firing

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
        while news := self._all_news():
            self._books.waiting(len(news))
            if not (ready := self._aside.ready(news, self._clock.steady())):
                self._pause = self._aside.due_in(news, self._clock.steady())
                self._news.set()
                break
            if self._turns is not None:
                if await self._turns.take(ready, self._told.get, self.learn):
                    continue
                ready = [self._turns.named(notice) for notice in ready]
            news = ready
            urgent = news[0].is_urgent
            free = self._pace.free(self._clock.steady(), urgent=urgent)
            if not free:
                if hurry:
                    break
                await self._wait_for_turn(urgent)
                continue
            late = self._clock.steady() - began >= _ONE_BY_ONE
            if not await self._send(self._next_message(news, free=1 if late else free)):
                self._news.set()
                break
        if self._turns is not None:
            self._books.release(self._turns.end_all())
            if self._turns.any_busy:
                asyncio.get_running_loop().call_later(BUSY, self._news.set)
        self._books.waiting(len(self._all_news()))

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
        batch = [replace(notice, before=self._before(notice)) for notice in batch]
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

    def _before(self, notice: Notice) -> Notice | None:
        told = self._told.get(notice.key)
        return told.notice if told is not None else None

    def _with_its_beginning(self, notice: Notice) -> Notice:
        """Keep the beginning and name of the notification sent before, if a notice is about the same event."""
        told = self._before(notice)
        if told is None or notice.differs_from(told):
            return notice
        return replace(notice, since=told.since, began=told.began)

    def _all_news(self) -> list[Notice]:
        self._drop_what_is_over()
        self._end_summaries()
        return sorted((it for it in self._now.values() if self._is_news(it) and not self._is_others(it)), key=urgency)

    def _is_others(self, notice: Notice) -> bool:
        """True while another replica is sending it."""
        return self._turns is not None and self._turns.is_others(notice.key)

    def _is_news(self, notice: Notice) -> bool:
        told = self._before(notice)
        if told is None:
            return notice.firing or notice.always
        if notice.differs_from(told):
            return notice.firing or told.firing or notice.always
        if not notice.firing:
            return False
        repeat = self._notifier.repeat
        sent_at = self._sent_at.get(notice.key, float("-inf"))
        return (repeat is not None and self._clock.steady() - sent_at >= repeat) or self._is_due_again(notice.key)

    def _is_due_again(self, key: str) -> bool:
        """True if it is time to remind people of something that still fires, and nobody has said to have seen it."""
        interval = self.config.repeat_interval
        if interval is None or key in self._unreminded:
            return False
        return self._clock.now() - self._told[key].at >= timedelta(seconds=interval)

    def _drop_what_is_over(self) -> None:
        for key, notice in list(self._now.items()):
            if notice.lasts is not None and self._clock.now() >= notice.since + timedelta(seconds=notice.lasts):
                del self._now[key]
                self._forget(key)

    def _end_summaries(self) -> None:
        """End a summary when none of its notices fires any more, where the receiver keeps incidents."""
        if not self._notifier.keeps_incidents:
            return
        for key, told in list(self._told.items()):
            if told.within is not None and not self._now[key].firing:
                self._forget(key)
        alive = {told.within for told in self._told.values()}
        for key, told in self._told.items():
            if told.notice.about == "summary" and key not in alive and self._now[key].firing:
                self._now[key] = end_of(told.notice, self._clock.now())

    def _delivered(self, outcome: str, batch: Sequence[Notice]) -> None:
        for notice in batch:
            self._books.told(outcome, len(notice.parts) or 1)
            for part in notice.parts:
                self._note(part, notice.key if self._notifier.keeps_incidents else None)
            if notice.about != "summary" or self._notifier.keeps_incidents:
                self._note(notice)
            if notice.about == "summary" and notice.firing and self._notifier.keeps_incidents:
                self._now[notice.key] = notice

    def _note(self, notice: Notice, summary: str | None = None) -> None:
        """Store a sent notice. For a subject that is over nothing is stored, except a notice that is always sent."""
        if not notice.firing and not notice.always:
            self._forget(notice.key)
            return
        if not notice.firing and notice.about == "summary":
            return
        told = Told(replace(notice, before=None), self._clock.now(), summary)
        before = self._told.get(notice.key)
        self._told[notice.key], self._sent_at[notice.key] = told, self._clock.steady()
        again = self.config.repeat_interval is not None and before is not None and told.at != before.at
        if before is None or before.notice.id != notice.id or before.within != summary or again:
            self._books.note(notice.key, told)

    def _forget(self, key: str) -> None:
        if key.startswith("summary:"):
            self._now.pop(key, None)
        if self._told.pop(key, None) is not None:
            self._sent_at.pop(key, None)
            self._books.note(key, None)

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
                while not self._aside.never_tried(self._all_news()):
                    self._news.clear()
                    await self._news.wait()
                await asyncio.sleep(self.config.group_wait)

    async def _wait_for_turn(self, urgent: bool) -> None:
        """Wait until the rate allows a message, or until there may be a more urgent notice."""
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), self._pace.pause(self._clock.steady(), urgent=urgent))

    async def _wait_for_news(self) -> None:
        with suppress(TimeoutError):
            intervals = [each for each in (self._notifier.repeat, self.config.repeat_interval) if each is not None]
            await asyncio.wait_for(self._news.wait(), min(intervals, default=None))
