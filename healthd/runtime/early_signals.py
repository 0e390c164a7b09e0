"""Handle signals while the process is still importing. By default they would end it as if something had gone wrong, and
a tool that starts the daemon and reloads or stops it at once does send them then."""

from __future__ import annotations

import os
import signal

_came = False


def hold() -> None:
    """Record SIGHUP, and end with 0 on SIGTERM and SIGINT, from now on until the event loop handles them."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGHUP, _remember)


def reload_came() -> bool:
    """True if a reload was requested meanwhile."""
    return _came


def _remember(_signal: int, _frame: object) -> None:
    global _came
    _came = True


def _end(_signal: int, _frame: object) -> None:
    """End at once: nothing is open yet, and an exception could end in somebody's import."""
    os._exit(0)
