"""Questions of a deploy tool to the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from healthd.units import show_duration
from healthd_deploy.core.exit import CouldNotAsk
from healthd_gates.client.transport import Refused, Unreachable

ResultT = TypeVar("ResultT")


async def asked(call: Awaitable[ResultT]) -> ResultT:
    """Return the answer of a call. Raises CouldNotAsk where it is refused, or nobody answers."""
    try:
        return await call
    except (Refused, Unreachable) as error:
        raise CouldNotAsk(str(error)) from error


async def answer_within(seconds: float, call: Awaitable[ResultT]) -> ResultT | None:
    """Return the answer of a call; None where it is refused, or nobody answers in so many seconds."""
    with suppress(Refused, Unreachable, TimeoutError):
        async with asyncio.timeout(seconds):
            return await call
    return None


def why_not_within(seconds: float, late: TimeoutError) -> str:
    """Return why a call had no answer in so many seconds: what failed until then, such as a port that nobody listens
    on, or else that nothing came."""
    failed = getattr(late.__cause__ or late.__context__, "__notes__", None)  # Debian 12's Python 3.11.2 gives no cause
    return failed[-1] if failed else f"no answer within {show_duration(seconds)}"
