"""Faults of a TCP path: a proxy that can be told to misbehave, and two listeners that never answer.

They live in the event loop of the test. A path that fails below TCP (no route, dropped packets) is in `netns.py`.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from tests.servers.ports import HOST, free_port

_CHUNK = 65_536


class Proxy:
    """Passes bytes to the port behind it until told otherwise; faults hold, and add up, until `pass_through`."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self.host = HOST
        self.port = free_port()
        self.accepted = 0
        """How many connections it ever accepted."""
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay = 0.0
        self._rate: float | None = None
        self._allowance: int | None = None
        self._forgotten = 0

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._connections)

    async def pass_through(self) -> None:
        """Be a plain proxy again, on the same port."""
        self._delay, self._rate, self._allowance = 0.0, None, None
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)

    def lead_to(self, port: int) -> None:
        """Pass new connections to another port of the target's host, as a balancer that has taken one out."""
        self._target = (self._target[0], port)

    def black_hole(self) -> None:
        """Accept and stay silent: no byte passes either way, on open connections or new ones."""
        self._flows.clear()

    def forget(self) -> None:
        """Drop every packet of the connections that are open now, as a firewall does that has forgotten them; new ones
        pass."""
        self._forgotten = self.accepted

    def delay(self, seconds: float) -> None:
        """Hold every piece back for `seconds`, in both directions."""
        self._delay = seconds

    def limit(self, bytes_per_second: float) -> None:
        """Let each direction of each connection pass no faster than that."""
        self._rate = bytes_per_second

    def reset_after(self, count: int) -> None:
        """Reset each new connection once it carried `count` bytes from the target, in mid-stream."""
        self._allowance = count

    async def refuse(self) -> None:
        """Close the port: open connections are reset, new ones refused."""
        if self._server:
            self._server.close()
            self._server = None
        await self.reset()

    async def reset(self) -> None:
        """Reset the open connections, once."""
        tasks = list(self._connections)
        for task in tasks:
            _reset(self._connections[task])
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # by `reset`; asyncio's server would make an error of it
            await self._relay(reader, writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        number = self.accepted
        self._connections[task] = writer
        try:
            await self._flows.wait()
            await self._couple(reader, writer, number)
        except* OSError:
            _reset(writer)
        finally:
            del self._connections[task]
            writer.close()

    async def _couple(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        target_reader, target_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, target_writer, None, number))
                both.create_task(self._pump(target_reader, writer, self._allowance, number))
        finally:
            target_writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, allowance: int | None, number: int
    ) -> None:
        while allowance is None or allowance > 0:
            data = await source.read(self._piece(allowance))
            await self._flows.wait()
            if number <= self._forgotten:
                await asyncio.Event().wait()
            if not data:
                sink.write_eof()
                return
            await asyncio.sleep(self._delay + (len(data) / self._rate if self._rate else 0.0))
            sink.write(data)
            await sink.drain()
            if allowance is not None:
                allowance -= len(data)
        raise ConnectionResetError

    def _piece(self, allowance: int | None) -> int:
        # Small enough that a limited connection trickles, twenty pieces a second, instead of coming in bursts.
        fluent = max(1, int(self._rate / 20)) if self._rate else _CHUNK
        return min(_CHUNK, fluent, allowance or _CHUNK)


@asynccontextmanager
async def proxy(target_port: int, target_host: str = HOST) -> AsyncIterator[Proxy]:
    """A proxy on a free port, passing through."""
    started = Proxy(target_host, target_port)
    await started.pass_through()
    try:
        yield started
    finally:
        await started.refuse()


@dataclass(frozen=True)
class Listener:
    """An address where something listens."""

    port: int
    host: str = HOST


@contextmanager
def silent() -> Iterator[Listener]:
    """Connections succeed, and then nothing ever comes back."""
    with socket.create_server((HOST, free_port()), backlog=128) as server:
        yield Listener(server.getsockname()[1])


@contextmanager
def unconnectable() -> Iterator[Listener]:
    """Connecting hangs: the queue of connections is full, so the kernel drops what asks for one."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, free_port()), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield Listener(server.getsockname()[1])


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
