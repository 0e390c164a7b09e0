"""Record a SIGHUP while the process is still importing. By default it would end the process, and a tool that starts the
daemon and reloads it at once does send it then."""

from __future__ import annotations

import signal

_came = False


def hold_reload() -> None:
    """Record SIGHUP from now on, until the event loop handles it."""
    signal.signal(signal.SIGHUP, _remember)


def reload_came() -> bool:
    """True if a reload was requested meanwhile."""
    return _came


def _remember(_signal: int, _frame: object) -> None:
    global _came
    _came = True
