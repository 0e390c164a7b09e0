"""SIGTERM, SIGINT and SIGHUP, heeded even while the main thread waits in C.

Python calls a handler in the main thread alone, between two of its instructions: never, while that thread waits in a
driver or an import that does not return. So a thread, too, reads the pipe into which Python's handler in C writes the
number of each signal (`signal.set_wakeup_fd`), and whichever of both comes first heeds it. Signals that are
blocked for `sigwait` would do the same, but every child process would inherit that.

asyncio's `add_signal_handler` would put a pipe of its own in the place of this one.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable

_HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_AT_ONCE = 64  # signals that are read in one go

_pipe: tuple[int, int] | None = None
_lock = threading.RLock()  # for one thread at a time; a signal may interrupt the main thread while it has this
_taking = False  # a handler is at work: one that interrupts it leaves the signal to it
_reload_came = False


def hold() -> None:
    """Record SIGHUP, and end with 0 on SIGTERM and SIGINT, from now on until `heed`. By default they would end a
    process that is still importing as if something had gone wrong, and a tool that starts the daemon and reloads or
    stops it at once does send them then."""
    global _pipe
    if _pipe is None:
        _pipe = os.pipe()
        for end in _pipe:
            os.set_blocking(end, False)
        threading.Thread(target=_read_on, args=(_pipe[0],), name="signals", daemon=True).start()
        os.register_at_fork(after_in_child=_let_go)
    signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    for number in _HEEDED:
        signal.signal(number, lambda *_: _take())


def heed(handle: Callable[[int], None]) -> None:
    """Call `handle(number)` for each signal from now on, in the main thread or in another: it must neither block nor
    raise."""
    global _handle
    hold()
    _handle = handle


def reload_came() -> bool:
    """True if a reload was requested before signals were heeded."""
    return _reload_came


def _before(number: int) -> None:
    """End at once: nothing is open yet, and an exception could end in somebody's import."""
    global _reload_came
    if number != signal.SIGHUP:
        os._exit(0)
    _reload_came = True


_handle: Callable[[int], None] = _before


def _let_go() -> None:
    """Write no more signals into the pipe, in a child that was forked and has it in common with its parent."""
    signal.set_wakeup_fd(-1)


def _take() -> None:
    """Handle the signals that came, one after the other, also where the next one interrupts the handler of the last:
    of two stops the second would otherwise be overtaken by the first, which waits for the drain."""
    global _taking
    with _lock:
        while not _taking and (numbers := _come()):
            _taking = True
            try:
                for number in numbers:
                    _handle(number)
            finally:
                _taking = False


def _come() -> list[int]:
    """Return the numbers of the signals that came and were not handled."""
    assert _pipe is not None
    try:
        return [number for number in os.read(_pipe[0], _AT_ONCE) if number in _HEEDED]
    except BlockingIOError:  # the other thread was quicker
        return []


def _read_on(reading: int) -> None:
    news = select.poll()
    news.register(reading, select.POLLIN)
    while True:
        news.poll()
        _take()
