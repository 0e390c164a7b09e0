"""What one receiver did not take: each message waits by itself, so that it holds up none of the others."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthd.notifiers.notice import Notice

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_GIVEN_UP_AFTER = 3600.0  # seconds for which a message is tried while the receiver takes others


@dataclass(frozen=True, slots=True)
class _Failed:
    since: float
    due: float
    pause: float


def longer(pause: float) -> float:
    """The next pause, twice as long and a little uneven, so that replicas do not come all at once."""
    return min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause)) * random.uniform(0.8, 1.0)


class SetAside:
    """The subjects whose messages were not taken, by steady time; and how many together may be tried."""

    def __init__(self, at_once: int) -> None:
        self._failed: dict[str, _Failed] = {}
        self._in_a_row: set[str] = set()
        self._suspects: set[str] = set()  # subjects that were in all of the messages in a row that were not taken
        self._most = self._at_once = at_once
        self._taken_at = float("-inf")

    @property
    def receiver_is_down(self) -> bool:
        """Whether no subject alone can be at fault."""
        return bool(self._in_a_row) and not self._suspects

    def failed(self, batch: Iterable[Notice], now: float) -> None:
        """Set a message aside. Of one that holds several, halves are tried next: one of them may be what is refused."""
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
        """The receiver works, whatever becomes of the others."""
        self._taken_at = now
        self._in_a_row.clear()
        self._at_once = min(self._most, self._at_once * 2)
        self.forget(each.key for one in batch for each in (one, *one.parts))

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._failed.pop(key, None)

    def never_tried(self, news: Iterable[Notice]) -> bool:
        """Whether there is news that may fare better than what was not taken."""
        return any(notice.key not in self._in_a_row for notice in news)

    def ready(self, news: Sequence[Notice], now: float) -> list[Notice]:
        """What may be tried now, in its order. Of a receiver that takes nothing: whatever has waited longest."""
        free = [notice for notice in news if (it := self._failed.get(notice.key)) is None or it.due <= now]
        if free or not self._in_a_row:
            return free[: self._at_once]
        return sorted(news, key=lambda notice: self._failed[notice.key].due)[: self._at_once]

    def due_in(self, news: Iterable[Notice], now: float) -> float:
        """Seconds until the first of them may be tried again."""
        return max(0.0, min(self._failed[notice.key].due for notice in news) - now)

    def is_hopeless(self, batch: Sequence[Notice], now: float) -> bool:
        """Whether a message of one subject was tried for long enough, of a receiver that took others meanwhile."""
        failed = self._failed.get(batch[0].key) if len(batch) == 1 else None
        return failed is not None and now - failed.since >= _GIVEN_UP_AFTER and self._taken_at > failed.since
