"""Ends the wait for a verdict once nothing serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from healthd_deploy.core.exit import GateFailed, StepFailed
from healthd_deploy.host.serving import while_it_serves

pytestmark = pytest.mark.looptime
_DOWN = "no instance of shop is online, and http://127.0.0.1:3000/health does not answer: connection refused"


def _looks(found: Sequence[str | Exception | None]) -> Callable[[], asyncio.Future[str | None]]:
    left = list(found)

    async def look() -> str | None:
        seen = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    return lambda: asyncio.ensure_future(look())


async def _never() -> bool:
    return False


async def _always() -> bool:
    return True


async def _verdict(after: float) -> None:
    await asyncio.sleep(after)


@pytest.mark.parametrize(
    "found",
    [[None], [_DOWN, _DOWN, None], [StepFailed("pm2 is not there")]],
    ids=["it serves", "a crash that PM2 mends", "a look that fails"],
)
async def test_the_gate_decides_while_anything_may_serve(found: list[str | Exception | None]) -> None:
    await while_it_serves(_verdict(600), _looks(found), _never)


async def test_nothing_that_serves_ends_the_wait() -> None:
    """Within seconds, and not when the gate's time is up."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StepFailed, match="no instance of shop is online"):
        await while_it_serves(_verdict(600), _looks([None, _DOWN]), _never)
    assert loop.time() - begun < 15


async def test_healthds_own_rollback_is_not_disturbed() -> None:
    """Its reload may show nothing that serves for a while."""
    await while_it_serves(_verdict(60), _looks([_DOWN]), _always)


async def test_an_interrupt_after_the_verdict_leaves_the_verdict() -> None:
    async def failed() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise GateFailed("fail: it errs") from None

    waiting = asyncio.ensure_future(while_it_serves(failed(), _looks([None]), _never))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(GateFailed):
        await waiting


async def test_an_interrupt_before_it_is_one() -> None:
    waiting = asyncio.ensure_future(while_it_serves(_verdict(60), _looks([None]), _never))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
