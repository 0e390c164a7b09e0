"""Looks at the proxy while a gate judges, and after its pass: the traffic may leave the version without the gate, as by
a reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.followed_gate import FollowedGate
from healthd_deploy.core.platform import DividesTraffic, Platform, SeesTraffic, Strayed
from healthd_deploy.core.report import Report
from healthd_deploy.core.steps import Steps

_EVERY = 3.0  # seconds between two looks
_AGAIN = 1.0  # seconds after which a second look confirms what the first one found
_LAST = 4  # looks after a pass until what they found counts


@dataclass(frozen=True, slots=True)
class Unseen:
    """Look that failed: nothing is known of the traffic."""

    what: str


@asynccontextmanager
async def watching(
    platform: Platform, target: str, followed: FollowedGate, steps: Steps, report: Report
) -> AsyncIterator[None]:
    """Say, as soon as it is so, that a target has another share of the traffic than it was given, all of it or what its
    ramp ordered last, or that this cannot be seen; once the gate has moved on that is healthd's own doing, and not
    said."""
    if steps.dry_run or not isinstance(platform, SeesTraffic):
        yield
        return
    looking = asyncio.ensure_future(_watched(platform, target, followed, steps, report))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            try:
                await looking
            except Exception as failed:  # else a fault of the looks would stand in the verdict's place
                steps.say(f"the traffic was not looked at to the end: {type(failed).__name__}: {failed}", "✗")


async def has_all(platform: Platform, target: str, other: str, report: Report) -> Strayed | Unseen | None:
    """Return None as soon as a target is seen to have all of the traffic, and the other one none, and else, after some
    looks, what was found. An interrupt ends the looks: the verdict stands."""
    if not isinstance(platform, SeesTraffic | DividesTraffic):
        return None
    found: Strayed | Unseen | None = None
    try:
        for again in range(_LAST):
            if again:
                await asyncio.sleep(_AGAIN)
            seen = await _look(platform, target, other)
            if seen is None:
                report.returned()
                return None
            found = found if isinstance(seen, Unseen) and isinstance(found, Strayed) else seen
    except asyncio.CancelledError:
        found = found or Unseen(_unseen(target, "interrupted"))
    return found


async def _watched(platform: SeesTraffic, target: str, followed: FollowedGate, steps: Steps, report: Report) -> None:
    said: Strayed | Unseen | None = None
    while True:
        if (share := followed.share) is None:  # a change of weight is under way
            await asyncio.sleep(_AGAIN)
            continue
        found = await _look(platform, target, share=share)
        if found is not None and said is None:  # a reload that is under way refuses for a moment
            await asyncio.sleep(_AGAIN)
            if followed.share != share:
                continue
            found = await _look(platform, target, share=share)
        if found is None:
            has = "all" if share >= 1.0 else f"{100 * share:.4g} %"
            if report.strayed is not None:
                steps.say(f"{target} has {has} of the traffic again")
                report.returned()
            elif said is not None:
                steps.say(f"{target} can be looked at again: it has {has} of the traffic")
            said = None
        elif _is_news(found, said) and not await followed.has_moved_on(share):
            steps.say(found.told if isinstance(found, Strayed) else found.what, "✗")
            said = found
            if isinstance(found, Strayed):
                report.stray(found)
        await asyncio.sleep(_EVERY)


def _is_news(found: Strayed | Unseen, said: Strayed | Unseen | None) -> bool:
    return found != said and (isinstance(found, Strayed) or not isinstance(said, Unseen))


async def _look(
    platform: SeesTraffic | DividesTraffic, target: str, other: str = "", *, share: float = 1.0
) -> Strayed | Unseen | None:
    try:
        if isinstance(platform, SeesTraffic):
            return await platform.strayed(target, share)
        if not (share := await platform.share(other)):
            return None
        what = f"{other} has {100 * share:.3g} % of the traffic again: who gave it that?"
        return Strayed(what, in_part=await platform.share(target) > 0.0)
    except Exception as failed:  # a look that fails decides nothing
        why = str(failed) if isinstance(failed, StepFailed) else f"{type(failed).__name__}: {failed}"
        return Unseen(_unseen(target, why))


def _unseen(target: str, why: str) -> str:
    return f"whether {target} has the traffic could not be looked at: {why}"
