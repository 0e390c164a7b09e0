"""Requests at an even rate, and what came back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

_EVERY = 0.008  # seconds between two requests


@dataclass
class Load:
    """Requests at an even rate through the balancer, and what came back: by version and status, in order of time."""

    url: str
    seen: list[tuple[str, int]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        task = asyncio.create_task(self._send())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _send(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as client, asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._one(client))
                await asyncio.sleep(_EVERY)

    async def _one(self, client: aiohttp.ClientSession) -> None:
        try:
            async with client.get(self.url) as response:
                self.seen.append((await response.text(), response.status))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.seen.append((type(error).__name__, 0))
