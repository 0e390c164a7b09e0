"""Requests at an even rate, and what came back.

The client does what browsers, proxies and Go's and Java's clients do (RFC 9112, 9.3.1): a GET on a connection that was
kept from an earlier request, and that the server closed before the answer began, is sent again until it has a
connection of its own. Whatever fails on a new connection, or in the middle of an answer, is lost. aiohttp repeats once,
and may meet the next connection that the same server is closing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

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
        async with session() as client, asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self.send_one(client))
                await asyncio.sleep(_EVERY)

    async def send_one(self, client: aiohttp.ClientSession) -> None:
        connection = _Connection()
        try:
            async with await _first_byte(client, self.url, connection) as response:
                self.seen.append((await response.text(), response.status))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.seen.append((type(error).__name__, 0))


@dataclass
class _Connection:
    """What a request went through last."""

    kept: bool = False


def session() -> aiohttp.ClientSession:
    """One that notes for each request whether its connection was kept."""
    trace = aiohttp.TraceConfig()

    async def note(_session: object, context: SimpleNamespace, _params: object, *, kept: bool) -> None:
        context.trace_request_ctx.kept = kept

    trace.on_connection_reuseconn.append(partial(note, kept=True))
    trace.on_connection_create_start.append(partial(note, kept=False))
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5), trace_configs=[trace])


async def _first_byte(client: aiohttp.ClientSession, url: str, connection: _Connection) -> aiohttp.ClientResponse:
    while True:
        try:
            return await client.get(url, trace_request_ctx=connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            if not connection.kept:
                raise
