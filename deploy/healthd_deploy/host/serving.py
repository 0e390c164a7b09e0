"""Looks at the application while a gate judges it. Where nothing serves any more, no number would ever come: the gate
would wait for one until its time is up, and the site be down as long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from healthd_deploy.core.exit import StepFailed

_EVERY = 3.0  # seconds between two looks
_TIMES = 3  # looks in a row that find nothing; a reload or a crash that PM2 mends is over by then


async def while_it_serves(
    judged: Coroutine[Any, Any, None], lost: Callable[[], Awaitable[str | None]], is_over: Callable[[], Awaitable[bool]]
) -> None:
    """Await a verdict, for as long as anything serves. Raises what it raises, and StepFailed where nothing has served
    at some looks in a row, unless it `is_over`: healthd's own actions may be under way then."""
    judging, looking = asyncio.ensure_future(judged), asyncio.ensure_future(_found(lost, is_over))
    try:
        await asyncio.wait({judging, looking}, return_when=asyncio.FIRST_COMPLETED)
        if not judging.done():
            raise StepFailed(looking.result())
        judging.result()
    except asyncio.CancelledError:
        judging.cancel()
        await judging  # after the verdict an interrupt ends the wait for a rollback alone
        raise
    finally:
        for each in (judging, looking):
            each.cancel()
        await asyncio.gather(judging, looking, return_exceptions=True)


async def _found(lost: Callable[[], Awaitable[str | None]], is_over: Callable[[], Awaitable[bool]]) -> str:
    """Return what shows that nothing serves, once it has been so for some looks. A look that fails decides nothing."""
    times = 0
    while True:
        await asyncio.sleep(_EVERY)
        found = None
        with suppress(Exception):
            found = await lost()
        times = times + 1 if found is not None else 0
        if found is not None and times >= _TIMES and not await is_over():
            return found
