"""Turns of one notifier: which notices this replica sends, and which another one is sending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthd.notifiers.notice import Notice
from healthd.notify.replicas import Replicas
from healthd.notify.told import Told
from healthd.runtime.clock import Clock

BUSY = 1.0  # seconds between two questions whether another replica is done
_SLACK = 5.0  # seconds of a claim beyond the delivery of a message
UNASKED = "The journal could not be asked: another replica may tell this too."


@dataclass(frozen=True, slots=True)
class _Turn:
    notice: Notice
    until: float
    since: datetime
    unasked: bool


class Turns:
    """Claims of one receiver; `timeout` is that of a message, in seconds. A notice keeps the time by which it is named
    until it is sent, whoever sends it in the end."""

    def __init__(self, receiver: str, replicas: Replicas, clock: Clock, timeout: float) -> None:
        self._receiver, self._replicas, self._clock, self._timeout = receiver, replicas, clock, timeout
        self._turns: dict[str, _Turn] = {}
        self._busy: dict[str, float] = {}

    def is_others(self, key: str) -> bool:
        """True if another replica is sending it."""
        return self._busy.get(key, 0.0) > self._clock.steady()

    async def take(
        self, notices: Sequence[Notice], told: Callable[[str], Told | None], learn: Callable[[str, Told | None], None]
    ) -> bool:
        """Ask for the turns of those notices that have none. True if anything was asked: then there is more to know."""
        if not (wanted := {notice.key: notice for notice in notices if not self._has(notice)}):
            return False
        lasts = 2 * (self._timeout + _SLACK)
        questions = {key: (notice, told(key)) for key, notice in wanted.items()}
        asked = self._clock.steady()
        self._busy = {key: until for key, until in self._busy.items() if until > asked}
        answer = await self._replicas.claim(self._receiver, questions, lasts)
        for key, notice in wanted.items():
            if answer is None:
                self._turns[key] = _Turn(notice, asked + lasts, notice.since, self._replicas.may_repeat)
            elif key in answer.mine:
                self._turns[key] = _Turn(notice, asked + lasts, answer.mine[key], False)
            elif key in answer.changed:
                learn(key, answer.changed[key])
            else:
                self._busy[key] = self._clock.steady() + BUSY
        return True

    @property
    def any_busy(self) -> bool:
        return any(until > self._clock.steady() for until in self._busy.values())

    def named(self, notice: Notice) -> Notice:
        """Return a notice by the name under which it is claimed."""
        turn = self._turns.get(notice.key)
        return notice if turn is None or turn.since == notice.since else replace(notice, since=turn.since)

    def remark(self, notice: Notice) -> Notice:
        """Return a notice as it is sent: it says where nobody was asked."""
        turns = [self._turns.get(each.key) for each in (notice, *notice.parts)]
        if not any(turn is not None and turn.unasked for turn in turns):
            return notice
        return replace(notice, detail="\n".join(filter(None, (notice.detail, UNASKED))))

    def end(self, notices: Sequence[Notice]) -> list[str]:
        """End the turns of notices that were sent or refused; return their subjects."""
        keys = [each.key for notice in notices for each in (notice, *notice.parts)]
        return [key for key in keys if self._turns.pop(key, None) is not None]

    def end_all(self) -> list[str]:
        keys = list(self._turns)
        self._turns.clear()
        return keys

    def _has(self, notice: Notice) -> bool:
        turn = self._turns.get(notice.key)
        if turn is None or notice.differs_from(turn.notice):
            return False
        return turn.until - self._clock.steady() > self._timeout + _SLACK
