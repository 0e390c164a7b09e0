"""SIGHUP to a process that is still importing: it is remembered. By default it would be the end of the process, and
whoever starts a daemon and reloads it at once does send it then."""

from __future__ import annotations

import signal

_came = False


def hold_reload() -> None:
    """From now on, until the event loop takes over."""
    signal.signal(signal.SIGHUP, _remember)


def reload_came() -> bool:
    """Whether somebody asked for a reload meanwhile."""
    return _came


def _remember(_signal: int, _frame: object) -> None:
    global _came
    _came = True
