"""Requests at an even rate, and what came back.

The client does what browsers, proxies and Go's and Java's clients do (RFC 9112, 9.3.1): a GET on a connection that was
kept from an earlier request, and that the server closed before the answer began, is sent again until it has a
connection of its own. Whatever fails on a new connection, or in the middle of an answer, is lost. aiohttp repeats once,
and may meet the next connection that the same server is closing; and it takes three times as long for a request, of
which tests send a hundred thousand.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

_EVERY = 0.008  # seconds between two requests
_PATIENCE = 5.0  # seconds for a request
_AT_ONCE = 65536  # bytes


@dataclass
class Load:
    """Requests at an even rate through the balancer, and what came back: by version and status, in order of time.

    A request that is lost has the name of the error and 0.
    """

    url: str
    seen: list[tuple[str, int]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        task = asyncio.create_task(self._send())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():  # it has broken off, and counted no more from then on
                task.result()

    async def _send(self) -> None:
        with connections() as client:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    tasks.create_task(self.send_one(client))
                    await asyncio.sleep(_EVERY)

    async def send_one(self, client: Client) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await client.get(self.url)
            self.seen.append((answer.body, answer.status))
        except OSError as error:
            self.seen.append((type(error).__name__, 0))


class CutOffError(ConnectionError):
    """The server closed a connection before the end of its answer."""


class UnansweredError(ConnectionError):
    """The server closed it before the beginning."""


class MalformedError(ConnectionError):
    """What it sent is no answer in HTTP."""


class Answer(NamedTuple):
    """What came back; the names of the fields in small letters."""

    body: str
    status: int
    fields: Mapping[str, str]


class Client:
    """Connections that are kept from one request to the next."""

    def __init__(self) -> None:
        self._kept: defaultdict[tuple[str, int], list[_Connection]] = defaultdict(list)

    async def get(self, url: str) -> Answer:
        """Ask for a page. Raises OSError: the request is lost."""
        place, request = _request(url)
        kept = self._kept[place]
        while kept:
            try:
                return await self._ask(kept.pop(), request, kept)
            except UnansweredError:
                pass
        return await self._ask(_Connection(*await asyncio.open_connection(*place)), request, kept)

    async def _ask(self, connection: _Connection, request: bytes, kept: list[_Connection]) -> Answer:
        stays = False
        try:
            answer, stays = await connection.ask(request)
        finally:
            if stays:
                kept.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        for kept in self._kept.values():
            for connection in kept:
                connection.close()


@contextmanager
def connections() -> Iterator[Client]:
    """A client, which closes its connections in the end."""
    client = Client()
    try:
        yield client
    finally:
        client.close()


@cache
def _request(url: str) -> tuple[tuple[str, int], bytes]:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\nUser-Agent: healthd-tests\r\n\r\n"
    return (parts.hostname or "", parts.port or 80), head.encode()


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytes = b""

    async def ask(self, request: bytes) -> tuple[Answer, bool]:
        """The answer, and whether the connection stays."""
        try:
            self.writer.write(request)
            await self._receive()
        except ConnectionError as error:
            raise UnansweredError from error
        try:
            return await self._answer()
        except ValueError as error:
            raise MalformedError from error

    async def _answer(self) -> tuple[Answer, bool]:
        first, *lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        protocol, status, *_ = first.split(" ", 2)
        parts = (line.partition(":") for line in lines)
        fields = {name.lower(): value.strip() for name, _, value in parts}
        stays = protocol == "HTTP/1.1" and fields.get("connection", "").lower() != "close"
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks()
        elif "content-length" in fields:
            body = await self._exactly(int(fields["content-length"]))
        else:
            body, stays = await self._rest(), False
        return Answer(body.decode(), int(status), fields), stays and not self.received

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self._until(b"\r\n")).partition(b";")[0], 16):
            body += await self._exactly(size)
            await self._end_of_line()
        await self._end_of_line()
        return body

    async def _end_of_line(self) -> None:
        if (found := await self._exactly(2)) != b"\r\n":
            raise ValueError(found)

    async def _until(self, end: bytes) -> bytes:
        while end not in self.received:
            await self._receive()
        found, _, self.received = self.received.partition(end)
        return found

    async def _exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            await self._receive()
        found, self.received = self.received[:size], self.received[size:]
        return found

    async def _rest(self) -> bytes:
        with suppress(CutOffError):
            while True:
                await self._receive()
        return self.received

    async def _receive(self) -> None:
        data = await self.reader.read(_AT_ONCE)
        if not data:
            raise CutOffError
        self.received += data

    def close(self) -> None:
        self.writer.transport.abort()
