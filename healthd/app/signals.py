"""Signals: SIGHUP reloads, SIGTERM drains and ends, a second one and SIGINT end at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from healthd.monitoring.board import Board
from healthd.runtime import signals
from healthd.runtime.ending import end_within

_log = structlog.get_logger(__name__)
_LONGEST_END = 20.0  # seconds that an orderly stop may take after the drain; then the process ends anyway


class Signals:
    """Events that signals set. `drain()` is called once, when the drain begins, which lasts `drain_seconds()`."""

    def __init__(self, board: Board, drain_seconds: Callable[[], float], drain: Callable[[], None]) -> None:
        self.reload, self.stopping = asyncio.Event(), asyncio.Event()
        self._board, self._drain_seconds, self._on_drain = board, drain_seconds, drain
        self._stop_came = False

    def heed(self) -> None:
        """Handle signals from now on, and the reload that was asked for before."""
        signals.heed(partial(self._come, asyncio.get_running_loop()))
        if signals.reload_came():
            self.reload.set()

    def _come(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        """Handle a signal in any thread, so also where the event loop is blocked. The end is certain from now on."""
        act: Callable[[], None] = self.reload.set
        if number != signal.SIGHUP:
            drain = number == signal.SIGTERM and not self._stop_came
            self._stop_came = True
            end_within(_LONGEST_END + (self._drain_seconds() if drain else 0.0))
            act = self._drain if drain else self.stopping.set
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(act)

    def _drain(self) -> None:
        """Become not ready at once, so that load balancers send traffic elsewhere; stay alive and serve until they do.
        A second signal ends the wait."""
        self._board.drain()
        self._on_drain()
        _log.info("draining", seconds=self._drain_seconds())
        asyncio.get_running_loop().call_later(self._drain_seconds(), self.stopping.set)
