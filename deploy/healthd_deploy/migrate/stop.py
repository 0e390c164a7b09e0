"""Stop of a run: it is interrupted, or its time is up. The current step is finished first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from healthd.runtime.clock import Clock
from healthd_deploy.core.interrupts import interrupting


class Reason(Enum):
    """Reason to stop."""

    INTERRUPTED = "interrupted"
    TIME = "the time limit is reached"


class Stop:
    """Tells when to stop, and pauses that end at once when it is time to."""

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._end = clock.steady() + limit
        self._interrupted = asyncio.Event()

    @property
    def reason(self) -> Reason | None:
        """Reason to stop; None to continue."""
        if self._interrupted.is_set():
            return Reason.INTERRUPTED
        return Reason.TIME if self.remaining <= 0 else None

    @property
    def remaining(self) -> float:
        """Seconds until the time limit."""
        return self._end - self._clock.steady()

    def interrupt(self) -> None:
        """Finish the current step, and stop."""
        self._interrupted.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not when it is time to stop."""
        try:
            async with asyncio.timeout(max(0.0, min(seconds, self.remaining))):
                await self._interrupted.wait()
        except TimeoutError:
            pass

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Handle signals: the first Ctrl-C, SIGTERM or SIGHUP asks to stop; the second cancels the current step."""
        running = asyncio.current_task()
        assert running is not None

        def caught() -> None:
            if self._interrupted.is_set():
                running.cancel()
            self.interrupt()

        with interrupting(caught):
            yield
