"""Rollback of another deploy that still runs when a deploy begins: it moves the traffic, and has the service."""

from __future__ import annotations

from healthd.units import show_duration
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk, StepFailed
from healthd_deploy.core.steps import Steps, wait_until

_EVERY = 2.0  # seconds between two looks at it


async def await_end(earlier: EarlierGates, steps: Steps, within: float) -> None:
    """Wait so many seconds for another gate's rollback to end, before anything is looked at. Raises CouldNotAsk."""
    if not within or (gate := await earlier.rollback_of_another()) is None:
        return
    rollback = f"the rollback of {gate.candidate.version} by gate {gate.id}"
    if steps.dry_run:
        steps.say(f"would wait for {rollback}", "○")
        return

    async def is_over() -> bool:
        return await earlier.rollback_of_another() is None

    async def over() -> None:
        try:
            await wait_until(is_over, within=within, every=_EVERY, what=rollback)
        except StepFailed:
            raise CouldNotAsk(f"it is not over after {show_duration(within)}: nothing was done") from None

    await steps.look(f"wait for {rollback}", over)
