"""Limit the processor time for pages that anyone may request as often as they like."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHARE = 0.1  # of one core
_BURST = 1.0  # seconds of processor time that may be spent at once


class Spending:
    """Counts the time spent on rendering answers. Above the limit, callers get the last rendering: never older than the
    time to earn another one, which is ten times as long as one takes."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, processor: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._processor = clock, processor
        self._left, self._at = _BURST, clock()

    @property
    def is_over(self) -> bool:
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._at) * _SHARE)
        self._at = now
        return self._left <= 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the processor time of the block, which must not wait for anything."""
        began = self._processor()
        try:
            yield
        finally:
            self._left -= self._processor() - began
