"""Detect a blocked event loop from a separate thread, and log meanwhile which code blocks it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)
BEAT = 0.1  # seconds between two heartbeats of the loop
STALLED = 1.0  # seconds without a heartbeat that count as a stall


class Watchdog:
    """Runs beside the loop that it watches.

    `lagged(seconds)` is called with the lag of each heartbeat, `stalled()` for every stall, `alive()` (at most every
    `alive_every` seconds) while the loop runs: a blocked loop cannot claim to be alive.
    """

    def __init__(
        self,
        *,
        lagged: Callable[[float], None],
        stalled: Callable[[], None],
        alive: Callable[[], None] = lambda: None,
        alive_every: float | None = None,
        limit: float = STALLED,
    ) -> None:
        self._lagged, self._stalled, self._alive = lagged, stalled, alive
        self._alive_every, self._limit = alive_every, limit
        self._beat = time.monotonic()
        self._over = threading.Event()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        loop_thread = threading.get_ident()
        self._beat = time.monotonic()
        threading.Thread(target=self._watch, args=(loop_thread,), name="watchdog", daemon=True).start()
        told = float("-inf")
        try:
            while True:
                now = self._beat = time.monotonic()
                if self._alive_every is not None and now - told >= self._alive_every:
                    self._alive()
                    told = now
                await asyncio.sleep(BEAT)
                self._lagged(max(0.0, time.monotonic() - now - BEAT))
        finally:
            self._over.set()

    def _watch(self, loop_thread: int) -> None:
        """Watch the loop from a separate thread: one report per stall while it lasts, and one at its end."""
        look_every, reported = self._limit / 4, None
        while True:
            looked = time.monotonic()
            if self._over.wait(look_every):
                return
            now, beat = time.monotonic(), self._beat
            if now - looked > look_every + self._limit / 2:  # this thread was stopped too: the whole process was
                continue
            if reported is not None and beat != reported:
                _log.warning("event loop no longer blocked", stood_still_seconds=round(beat - reported, 1))
                reported = None
            if reported is None and now - beat > self._limit:
                reported = beat
                self._stalled()
                stack = _stack(loop_thread)
                _log.error("event loop blocked", for_seconds=round(now - beat, 1), stack=stack)


def _stack(thread: int) -> str:
    """Return the stack of a thread, innermost call last."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else "the loop's thread is gone"
