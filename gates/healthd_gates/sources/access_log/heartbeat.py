"""Requests of healthd's own through the proxy, which show in its log that it is written to."""

from __future__ import annotations

import asyncio

import aiohttp

from healthd import __version__
from healthd_gates.sources.access_log.config import Heartbeat
from healthd_gates.sources.access_log.tally import HEARTBEAT

_SECONDS = 5.0
_beating: dict[tuple[int, str, float], tuple[asyncio.Task[None], list[object]]] = {}  # by event loop and options


class Heart:
    """One gate's part in the heartbeats of one address."""

    def __init__(self, config: Heartbeat) -> None:
        self._key = (id(asyncio.get_running_loop()), config.url, config.interval)
        task, users = _beating.get(self._key, (None, list[object]()))
        if task is None or task.done():
            task = asyncio.create_task(_beat(config), name="access-log-heartbeat")
        _beating[self._key] = (task, users)
        users.append(self)

    async def close(self) -> None:
        """Stop, unless others need them."""
        task, users = _beating[self._key]
        users.remove(self)
        if not users:
            del _beating[self._key]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _beat(config: Heartbeat) -> None:
    """Send a request every so often; the log alone shows its success."""
    async with aiohttp.ClientSession(
        # Nothing depends on who answers.
        connector=aiohttp.TCPConnector(ssl=False, resolver=aiohttp.ThreadedResolver()),
        headers={"User-Agent": f"healthd/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=_SECONDS),
    ) as session:
        while True:
            try:
                url = f"{config.url}?{HEARTBEAT}=1"
                async with session.get(
                    url, allow_redirects=False, ssl=False
                ) as answer:  # nothing depends on who answers
                    await answer.content.read(1)
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(config.interval)
