"""Messages that one receiver refused: each waits for its own retry, so that it delays none of the others."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from healthd.notifiers.notice import Notice

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_GIVEN_UP_AFTER = 3600.0  # seconds for which a message is retried while the receiver accepts others


@dataclass(frozen=True, slots=True)
class _Failed:
    since: float
    due: float
    pause: float
    company: int  # the most notices of a message in which it is retried


def longer(pause: float) -> float:
    """Return the next pause, twice as long with some jitter, so that replicas do not retry at the same time."""
    return min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause)) * random.uniform(0.8, 1.0)


class SetAside:
    """Subjects whose messages were refused, by steady time. Those of a message with several notices are retried in
    halves, until the one that the receiver does not take fails alone: only that one waits longer each time."""

    def __init__(self, at_once: int) -> None:
        self._failed: dict[str, _Failed] = {}
        self._in_a_row: set[str] = set()
        self._suspects: set[str] = set()  # subjects that were in each of the last failed messages in a row
        self._at_once = at_once
        self._taken_at = float("-inf")

    @property
    def receiver_is_down(self) -> bool:
        """True if no single subject explains the failures."""
        return bool(self._in_a_row) and not self._suspects

    def failed(self, batch: Iterable[Notice], now: float) -> None:
        """Set the notices of a failed message aside."""
        notices = list(batch)
        keys = {each.key for notice in notices for each in (notice, *notice.parts)}
        self._suspects = self._suspects & keys if self._in_a_row else keys
        self._in_a_row |= keys
        told = sum(len(notice.parts) or 1 for notice in notices)
        first = longer(0.0)
        for key in keys:
            before = self._failed.get(key)
            pause = longer(before.pause if before is not None else 0.0) if told == 1 else first
            since = before.since if before is not None else now
            self._failed[key] = _Failed(since, now + pause, pause, max(1, told // 2))

    def taken(self, batch: Iterable[Notice], now: float) -> None:
        """Record an accepted message: the receiver works, even if it refuses others. What it refused while it was down
        is no longer late by its own fault."""
        if self.receiver_is_down:
            for key in self._in_a_row & self._failed.keys():
                self._failed[key] = replace(self._failed[key], due=now, company=self._at_once)
        self._taken_at = now
        self._in_a_row.clear()
        self.forget(each.key for one in batch for each in (one, *one.parts))

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._failed.pop(key, None)

    def never_tried(self, news: Iterable[Notice]) -> bool:
        """True if there is news whose delivery has not failed since the last success."""
        return any(notice.key not in self._in_a_row for notice in news)

    def ready(self, news: Sequence[Notice], now: float) -> list[Notice]:
        """Return the notices that may be tried now in one message: new ones in order, then those that have waited
        longest, which come even before they are due if the receiver accepts nothing."""
        new = [notice for notice in news if notice.key not in self._failed]
        waiting = [notice for notice in news if notice.key in self._failed]
        waiting.sort(key=lambda notice: self._failed[notice.key].due)
        due = [notice for notice in waiting if self._failed[notice.key].due <= now]
        return self._together(new + due or (waiting if self.receiver_is_down else []))

    def _together(self, free: Sequence[Notice]) -> list[Notice]:
        chosen: list[Notice] = []
        most = self._at_once
        for notice in free:
            company = it.company if (it := self._failed.get(notice.key)) is not None else self._at_once
            if len(chosen) < min(most, company):
                chosen.append(notice)
                most = min(most, company)
        return chosen

    def due_in(self, news: Iterable[Notice], now: float) -> float:
        """Return the seconds until the first retry is due: not so few that a clock's rounding keeps it ahead."""
        return max(0.01, min(self._failed[notice.key].due for notice in news) - now)

    def is_hopeless(self, batch: Sequence[Notice], now: float) -> bool:
        """True if a message about one subject was retried for long enough while the receiver accepted others."""
        failed = self._failed.get(batch[0].key) if len(batch) == 1 else None
        return failed is not None and now - failed.since >= _GIVEN_UP_AFTER and self._taken_at > failed.since
