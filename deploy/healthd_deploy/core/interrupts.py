"""Signals that stop a deploy tool."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupting(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at each Ctrl-C, SIGTERM, or SIGHUP of a terminal or connection that is gone; not for a SIGHUP that
    is ignored, as under `nohup`."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
