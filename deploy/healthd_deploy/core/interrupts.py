"""Signals that stop a deploy tool: Ctrl-C, SIGTERM, and SIGHUP of a terminal or connection that is gone; none that is
ignored, as SIGHUP under `nohup` and SIGINT of what a script starts with `&`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from healthd_deploy.core.exit import INTERRUPTED


def nothing_begun() -> None:
    """End the process at a signal from now on with the words that nothing was changed, until `begun` or
    `interrupting`: the tool may still be importing what it needs."""
    for number in _stopping():
        signal.signal(number, _end)


def begun() -> None:
    """Give signals their usual effect again: what follows may change something."""
    for number in _stopping():
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


@contextmanager
def interrupting(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at each signal."""
    numbers, loop = _stopping(), asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _stopping() -> Sequence[signal.Signals]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _end(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"interrupted: nothing was changed\n")
    os._exit(INTERRUPTED)
