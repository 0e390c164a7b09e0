"""File descriptors: as many as the system gives this process, and how many of them connections to it may take."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 65_536  # what is above costs programs time that this one starts and that close all they might have inherited
_OWN = 256  # for checks, gates, the journal and notifiers, whatever comes in
_MOST_CONNECTIONS = 4096


def raise_limit() -> None:
    """Raise the soft limit to the hard one: many systems start a process with 1,024 that may have far more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections may be open to this process at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(soft // 4, soft - _OWN))
