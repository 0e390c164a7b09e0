"""Looks at the proxy while a gate judges: the traffic may leave the version without the gate, as by a reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.platform import Platform, SeesTraffic
from healthd_deploy.core.report import Report
from healthd_deploy.core.steps import Steps

_EVERY = 3.0  # seconds between two looks
_AGAIN = 1.0  # seconds after which a second look confirms what the first one found


@asynccontextmanager
async def watching(
    platform: Platform, target: str, is_judged: Callable[[], Awaitable[bool]], steps: Steps, report: Report
) -> AsyncIterator[None]:
    """Say, as soon as it is so, that a target which was given all of the traffic has it no more; once the gate
    `is_judged` that is healthd's own rollback, and not said."""
    if steps.dry_run or not isinstance(platform, SeesTraffic):
        yield
        return
    looking = asyncio.ensure_future(_watched(platform, target, is_judged, steps, report))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _watched(
    platform: SeesTraffic, target: str, is_judged: Callable[[], Awaitable[bool]], steps: Steps, report: Report
) -> None:
    while True:
        found = await _strayed(platform, target)
        if found is not None and report.strayed is None:  # a reload that is under way refuses for a moment
            await asyncio.sleep(_AGAIN)
            found = await _strayed(platform, target)
        if found is None and report.strayed is not None:
            steps.say(f"{target} has the traffic again")
            report.returned()
        elif found is not None and found != report.strayed and not await is_judged():
            steps.say(found, "✗")
            report.stray(found)
        await asyncio.sleep(_EVERY)


async def _strayed(platform: SeesTraffic, target: str) -> str | None:
    try:
        return await platform.strayed(target)
    except StepFailed as failed:
        return str(failed)
    except Exception as fault:  # a look that fails decides nothing
        return f"whether {target} has the traffic could not be looked at: {type(fault).__name__}: {fault}"
