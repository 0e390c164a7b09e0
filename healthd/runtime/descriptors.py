"""File descriptors: raises the limit of this process, and computes how many connections may use."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 65_536  # a higher limit slows down child programs that close all descriptors they might have inherited
_OWN = 256  # for checks, gates, the journal and notifiers, however many connections there are
_MOST_CONNECTIONS = 4096


def raise_limit() -> None:
    """Raise the soft limit to the hard one: many systems start a process with 1,024 that may have far more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """Return the maximum number of connections to this process at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(soft // 4, soft - _OWN))
