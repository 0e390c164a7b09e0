"""Subjects of one notifier: the current notice of each, and the last one that its receiver was sent.

There is one entry per subject, the newest; so a receiver that is down for an hour costs no memory, and gets the current
state when it is back rather than every change since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from healthd.notifiers.contract import Notifier, NotifierConfig
from healthd.notifiers.notice import Notice, urgency
from healthd.notify.quiet import Quiet
from healthd.notify.summaries import end_of
from healthd.notify.told import Told
from healthd.runtime.clock import Clock


class Subjects:
    """Compares what is with what was sent. `news()` is called when there may be something to send, `note(subject,
    told)` to store a sent notification beyond this process, `elsewhere()` when another replica has sent what was to be
    sent here."""

    def __init__(
        self,
        config: NotifierConfig,
        notifier: Notifier,
        *,
        clock: Clock,
        news: Callable[[], None],
        note: Callable[[str, Told | None], None],
        elsewhere: Callable[[], None],
    ) -> None:
        self._config, self._notifier, self._clock = config, notifier, clock
        self._news, self._store, self._elsewhere = news, note, elsewhere
        self._now: dict[str, Notice] = {}
        self._told: dict[str, Told] = {}
        self._perhaps: dict[str, Notice] = {}  # of which nobody knows whether the receiver has it
        self._unanswered: dict[str, Notice] = {}  # of those, what was sent here
        self._sent_at: dict[str, float] = {}  # steady time, for notices that are repeated
        self._unreminded: set[str] = set()  # silenced or acknowledged

    def remember(self, told: Mapping[str, Told]) -> None:
        """Load the notifications sent before the start. They count as current until newer notices arrive."""
        for key, before in told.items():
            if key not in self._told:
                self._told[key] = before
                self._now.setdefault(key, before.notice)
                self._now[key] = self._with_its_beginning(self._now[key])
        self._news()

    def learn(self, key: str, told: Told | None) -> None:
        """Take over what another replica has told, or None when it told the end."""
        before, now = self._told.get(key), self._now.get(key)
        waited = now is not None and self._is_news(now)
        self._is_certain(key)
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
            self._elsewhere()
        self._news()

    def doubt(self, perhaps: Mapping[str, Notice]) -> None:
        """Take what dead replicas may have sent, all of it. What a check is now comes from a probe; nobody else tells
        a verdict or rollback again. What was told together is told anew, and its own incident is over."""
        self._perhaps = {**perhaps, **self._unanswered}
        for key, notice in perhaps.items():
            now = self._now.get(key)
            if notice.about in ("gate", "rollback") and (now is None or now.since < notice.since):
                self._now[key] = notice
        self._end_doubtful_summaries()
        if any(map(self._is_news, self._now.values())):
            self._news()

    def unanswered(self, batch: Sequence[Notice]) -> None:
        """Take what was sent here and perhaps got: its answer was lost."""
        each = {it.key: it for notice in batch for it in (notice, *notice.parts)}
        kept = {key: it for key, it in each.items() if it.about != "summary" or self._notifier.keeps_incidents}
        self._unanswered |= kept
        self._perhaps |= kept
        self._end_doubtful_summaries()

    def put(self, notice: Notice, *, wanted: bool = True, quiet: Quiet = Quiet.NO) -> None:
        """Store the current notice of a subject. One that is not `wanted` here any more, but was firing, is over
        here. One that is `quiet` and fires is not stored, so that it is sent when the quiet ends; an end is."""
        told = self.before(notice)
        reminded = quiet is Quiet.NO
        self._unreminded.discard(notice.key) if reminded else self._unreminded.add(notice.key)
        if notice.firing and quiet.holds(notice, told):
            waiting = self._now.pop(notice.key, None)  # it was about to be sent
            if waiting is not None and told is not None:
                self._now[notice.key] = told
            return
        if not wanted:
            before = self._now.get(notice.key, self._perhaps.get(notice.key))
            if before is None or not before.firing:
                return
            notice = replace(notice, firing=False, always=False)
        self._now[notice.key] = notice = self._with_its_beginning(notice)
        if self._is_news(notice):
            self._news()

    def forget_all_but(self, keys: set[str]) -> None:
        """Keep only these subjects: of the others, what was firing is over."""
        for key, notice in {**self._perhaps, **self._now}.items():
            if notice.about == "check" and key not in keys and notice.firing:
                gone = replace(
                    notice, firing=False, standing="removed", summary=f"{notice.name} is not checked any more"
                )
                self.put(replace(gone, since=self._clock.now()))

    def has_sent(self, key: str) -> bool:
        """True if the receiver knows of something that it fires, or may know."""
        told, perhaps = self._told.get(key), self._perhaps.get(key)
        return (told is not None and told.notice.firing) or (perhaps is not None and perhaps.firing)

    def told(self, key: str) -> Told | None:
        """Return the last notification of a subject."""
        return self._told.get(key)

    def before(self, notice: Notice) -> Notice | None:
        """Return the last notice that was sent of the same subject."""
        told = self._told.get(notice.key)
        return told.notice if told is not None else None

    def as_reminder(self, notice: Notice) -> Notice:
        """Return a notice with the time of the one that it repeats, if its receiver was told the same already. One that
        asks for firing notices again keeps them alive, which reminds nobody."""
        told = self._told.get(notice.key) if self._notifier.repeat is None else None
        repeats = told is not None and notice.firing and not notice.differs_from(told.notice)
        return replace(notice, reminds_of=told.at if told is not None and repeats else None)

    def unsent(self) -> list[Notice]:
        """Return what is to be sent, the most urgent first."""
        self._drop_what_is_over()
        self._end_summaries()
        return sorted(filter(self._is_news, self._now.values()), key=urgency)

    def delivered(self, batch: Sequence[Notice]) -> None:
        """Store that the receiver was sent these."""
        for notice in batch:
            for part in notice.parts:
                self._note(part, notice.key if self._notifier.keeps_incidents else None)
            if notice.about != "summary" or self._notifier.keeps_incidents:
                self._note(notice)
            if notice.about == "summary" and notice.firing and self._notifier.keeps_incidents:
                self._now[notice.key] = notice

    def _with_its_beginning(self, notice: Notice) -> Notice:
        """Keep the beginning and name of the notification sent before, if a notice is about the same event."""
        told = self.before(notice)
        if told is None or notice.differs_from(told):
            return notice
        return replace(notice, since=told.since, began=told.began)

    def _is_news(self, notice: Notice) -> bool:
        told, perhaps = self.before(notice), self._perhaps.get(notice.key)
        if _is_news_after(told, notice) or (perhaps is not None and _is_news_after(perhaps, notice)):
            return True
        if told is None or not notice.firing:
            return False
        repeat = self._notifier.repeat
        sent_at = self._sent_at.get(notice.key, float("-inf"))
        return (repeat is not None and self._clock.steady() - sent_at >= repeat) or self._is_due_again(notice)

    def _is_due_again(self, notice: Notice) -> bool:
        """True if it is time to remind people of something that still fires, and nobody has said to have seen it."""
        interval = self._config.repeat_interval
        if interval is None or notice.key in self._unreminded or notice.is_followed:
            return False
        return self._clock.now() - self._told[notice.key].at >= timedelta(seconds=interval)

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

    def _end_doubtful_summaries(self) -> None:
        for key, notice in self._perhaps.items():
            if notice.about == "summary" and notice.firing and key not in self._now:
                self._now[key] = end_of(notice, self._clock.now())

    def _is_certain(self, key: str) -> None:
        self._perhaps.pop(key, None)
        self._unanswered.pop(key, None)

    def _note(self, notice: Notice, summary: str | None = None) -> None:
        """Store a sent notice. For a subject that is over nothing is stored, except a notice that is always sent."""
        if not notice.firing and not notice.always:
            self._forget(notice.key)
            return
        if not notice.firing and notice.about == "summary":
            return
        self._is_certain(notice.key)
        notice = replace(notice, before=None, reminds_of=None)
        told = Told(notice, self._clock.now(), summary)
        before = self._told.get(notice.key)
        self._told[notice.key], self._sent_at[notice.key] = told, self._clock.steady()
        again = self._config.repeat_interval is not None and before is not None and told.at != before.at
        if before is None or before.notice.id != notice.id or before.within != summary or again:
            self._store(notice.key, told)

    def _forget(self, key: str) -> None:
        self._is_certain(key)
        if key.startswith("summary:"):
            self._now.pop(key, None)
        if self._told.pop(key, None) is not None:
            self._sent_at.pop(key, None)
            self._store(key, None)


def _is_news_after(told: Notice | None, notice: Notice) -> bool:
    """True if a receiver that was told the one, or nothing, is to be told the other."""
    if told is None:
        return notice.firing or notice.always
    return notice.differs_from(told) and (notice.firing or told.firing or notice.always)
