"""What probes are sent to: a server that costs little, closes each connection as asked, and counts who came.

`/hits/NAME` tells how many requests `/NAME/…` had.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.request import urlopen

from bench.process import Served, serving

_HITS: Counter[bytes] = Counter()


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._read.endswith(b"\r\n\r\n"):
            return
        request, self._read = self._read, b""
        first, _, name = request.split(b" ", 2)[1][1:].partition(b"/")
        if first == b"hits":
            body = str(_HITS[name]).encode()
        else:
            _HITS[first] += 1
            body = b'{"status": "ok"}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        closing = b"connection: close" in request.lower()
        self._transport.write(head + (b"Connection: close\r\n\r\n" if closing else b"\r\n") + body)
        if closing:
            self._transport.close()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Target:
    """A running one."""

    def __init__(self, served: Served) -> None:
        self.origin = served.url.removesuffix("/hits/none")

    def hits(self, name: str) -> int:
        with urlopen(f"{self.origin}/hits/{name}") as answer:
            return int(answer.read())


@asynccontextmanager
async def running() -> AsyncIterator[Target]:
    async with serving(lambda port: [sys.executable, "-m", "bench.target", str(port)], "/hits/none") as served:
        yield Target(served)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
