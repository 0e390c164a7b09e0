"""Messages that one receiver refused: each waits for its own retry, so that it delays none of the others."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthd.notifiers.notice import Notice

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_GIVEN_UP_AFTER = 3600.0  # seconds for which a message is retried while the receiver accepts others


@dataclass(frozen=True, slots=True)
class _Failed:
    since: float
    due: float
    pause: float


def longer(pause: float) -> float:
    """Return the next pause, twice as long with some jitter, so that replicas do not retry at the same time."""
    return min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause)) * random.uniform(0.8, 1.0)


class SetAside:
    """Subjects whose messages were refused, by steady time; and the number of notices to combine in the next
    attempt."""

    def __init__(self, at_once: int) -> None:
        self._failed: dict[str, _Failed] = {}
        self._in_a_row: set[str] = set()
        self._suspects: set[str] = set()  # subjects that were in each of the last failed messages in a row
        self._most = self._at_once = at_once
        self._taken_at = float("-inf")

    @property
    def receiver_is_down(self) -> bool:
        """True if no single subject explains the failures."""
        return bool(self._in_a_row) and not self._suspects

    def failed(self, batch: Iterable[Notice], now: float) -> None:
        """Set a failed message aside. Of one with several notices, halves are tried next: one of them may be the
        cause."""
        notices = list(batch)
        keys = {each.key for notice in notices for each in (notice, *notice.parts)}
        self._suspects = self._suspects & keys if self._in_a_row else keys
        self._at_once = max(1, len(notices) // 2)
        for notice in (each for one in notices for each in (one, *one.parts)):
            self._in_a_row.add(notice.key)
            before = self._failed.get(notice.key)
            pause = longer(before.pause if before is not None else 0.0)
            self._failed[notice.key] = _Failed(before.since if before is not None else now, now + pause, pause)

    def taken(self, batch: Iterable[Notice], now: float) -> None:
        """Record an accepted message: the receiver works, even if it refuses others."""
        self._taken_at = now
        self._in_a_row.clear()
        self._at_once = min(self._most, self._at_once * 2)
        self.forget(each.key for one in batch for each in (one, *one.parts))

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._failed.pop(key, None)

    def never_tried(self, news: Iterable[Notice]) -> bool:
        """True if there is news whose delivery has not failed since the last success."""
        return any(notice.key not in self._in_a_row for notice in news)

    def ready(self, news: Sequence[Notice], now: float) -> list[Notice]:
        """Return the notices that may be tried now, in order. If the receiver accepts nothing: those that have waited
        longest."""
        free = [notice for notice in news if (it := self._failed.get(notice.key)) is None or it.due <= now]
        if free or not self._in_a_row:
            return free[: self._at_once]
        return sorted(news, key=lambda notice: self._failed[notice.key].due)[: self._at_once]

    def due_in(self, news: Iterable[Notice], now: float) -> float:
        """Return the seconds until the first retry is due."""
        return max(0.0, min(self._failed[notice.key].due for notice in news) - now)

    def is_hopeless(self, batch: Sequence[Notice], now: float) -> bool:
        """True if a message about one subject was retried for long enough while the receiver accepted others."""
        failed = self._failed.get(batch[0].key) if len(batch) == 1 else None
        return failed is not None and now - failed.since >= _GIVEN_UP_AFTER and self._taken_at > failed.since
