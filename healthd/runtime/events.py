"""Waiting for an event with an end."""

from __future__ import annotations

import asyncio


async def set_within(seconds: float | None, event: asyncio.Event) -> bool:
    """Wait for an event, and return whether it was set within `seconds`; None waits for good.

    Unlike asyncio.wait_for it never loses a cancellation: that of Python 3.11 returns as if there were none where the
    event is set at the same moment, and a loop that waits with it goes on though it was told to end.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
