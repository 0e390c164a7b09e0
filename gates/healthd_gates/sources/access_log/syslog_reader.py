"""One reader for each address of syslog, shared by all gates that count what comes there.

What comes while healthd does not listen is lost: a gate that was begun by another process has a gap.
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from healthd.checks.failures import describe
from healthd.model import FailureKind
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.file_reader import Answer, Ask, OpenQuestion
from healthd_gates.sources.access_log.syslog_messages import line_of
from healthd_gates.sources.access_log.syslog_sockets import Sockets
from healthd_gates.sources.access_log.tally import Question, Tally
from healthd_gates.sources.contract import SourceUnavailable

_MOST_BATCHES, _MOST_CELLS = 1000, 20_000


@dataclass(slots=True)
class _Batch:
    """Lines that came between two looks, the first of which was at `began` by the wall clock."""

    began: float
    tallies: dict[tuple[Question, str], Tally]
    dropped: int = 0


class SyslogReader:
    """Counts what comes in, from the first gate's first look on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._epoch = token_hex(8)
        self._questions: dict[tuple[Question, str], OpenQuestion] = {}
        self._lock = threading.Lock()
        self._batches: deque[_Batch] = deque()
        self._first = 0  # the number of the oldest batch
        self._now = _Batch(time.time(), {})
        self._counted: list[tuple[Counting, Tally]] = []
        self._sockets: Sockets | None = None

    def join(self, ask: Ask) -> None:
        with self._lock:
            if (known := self._questions.get(ask.name)) is not None:
                known.join(ask)
            else:
                self._questions[ask.name] = OpenQuestion(ask)
            self._cut()

    def leave(self, ask: Ask) -> None:
        with self._lock:
            if self._questions[ask.name].leave():
                del self._questions[ask.name]

    async def close(self) -> None:
        if self._sockets is not None:
            await asyncio.to_thread(self._sockets.close)

    async def collect(self, ask: Ask, since: Sequence[Any] | None, _seconds: float) -> Answer:
        """Return what came since a place; nothing without one. Raises SourceUnavailable."""
        if self._sockets is None:
            try:
                self._sockets = Sockets(self._address, self._take, self._drop)
            except OSError as error:
                raise self._unavailable(error) from error
        with self._lock:
            self._cut()
            end = [self._epoch, self._first + len(self._batches), self._now.began]
            if since is None:
                return Answer(Tally(ask.edges), end)
            answer = Answer(Tally(ask.edges), end)
            for batch in self._since(since, answer):
                answer.lost += batch.dropped
                tally = batch.tallies.get(ask.name)
                if tally is not None and set(ask.edges) <= set(tally.edges):
                    answer.tally.merge(tally.with_edges(ask.edges))
            return answer

    def _since(self, since: Sequence[Any], answer: Answer) -> list[_Batch]:
        epoch, number, at = since
        if epoch != self._epoch:
            answer.lost += 1
            return [batch for batch in self._batches if batch.began >= at]
        answer.lost += number < self._first
        return list(self._batches)[max(0, number - self._first) :]

    def _cut(self) -> None:
        """End the present batch, and forget the oldest ones."""
        self._batches.append(self._now)
        self._now = _Batch(time.time(), {name: Tally(each.edges) for name, each in self._questions.items()})
        self._counted = [(each.counting, self._now.tallies[name]) for name, each in self._questions.items()]
        cells = sum(tally.size for batch in self._batches for tally in batch.tallies.values())
        while len(self._batches) > _MOST_BATCHES or cells > _MOST_CELLS:
            cells -= sum(tally.size for tally in self._batches.popleft().tallies.values())
            self._first += 1

    def _take(self, message: bytes) -> None:
        line = line_of(message)
        with self._lock:
            for counting, tally in self._counted:
                counting.add((line,), tally)

    def _drop(self, count: int) -> None:
        with self._lock:
            self._now.dropped += count

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        if error.errno == errno.EADDRINUSE:
            text = f"{self._address} is in use: by a daemon that runs, whose gates see what comes there?"
            return SourceUnavailable(FailureKind.CONNECT, text)
        if isinstance(error, PermissionError):
            text = f"healthd may not listen at {self._address}: take a port above 1023, or a folder of its own"
            return SourceUnavailable(FailureKind.PERMISSION, text)
        return SourceUnavailable(FailureKind.MISCONFIGURED, f"{self._address} cannot be listened at: {describe(error)}")
