"""One call of a command to a daemon, with an end whatever becomes of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

from healthd.runtime.deadline import with_deadline
from healthd.runtime.loop import run

T = TypeVar("T")
UNLIMITED = aiohttp.ClientTimeout(total=None)
"""Timeout of the call itself, which `answered_within` ends."""


def answered_within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Return the answer to a call. Raises TimeoutError, which knows of a name that was not resolved until then; a
    lookup that hangs does not delay the end."""
    return run(with_deadline(seconds, call, name="call"))
