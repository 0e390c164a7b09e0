"""One version of a small HTTP service, of which a given share of the requests fails; it counts them on `/metrics`.

The service is this file, run as a script: `python version.py PORT VERSION FAILING`. Tests start dozens, and send many
requests to each: on a protocol of asyncio's own it starts in half the time that a framework takes, and answers so too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving


@dataclass(frozen=True)
class Version(Server):
    """A running version."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def running(version: str, failing: float = 0.0) -> Iterator[Version]:
    """A version that answers every path with its name, or with 500: the given share of all requests, spread evenly."""
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            return process_on(port, version, failing, folder / "log")

        with serving(prepare) as (port, process):
            yield Version(port, process)


def process_on(port: int, version: str, failing: float, log: Path) -> Process:
    """A version at a given port, not yet started."""
    argv = [sys.executable, __file__, str(port), version, str(failing)]
    return Process(argv, lambda process: process.listens(port), log=log)


class _Service:
    """What it answers: every path but `/metrics` with its name."""

    def __init__(self, version: str, failing: float) -> None:
        self._name, self._failing, self._due = version.encode(), failing, 0.0
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counter = Counter("app_requests", "Requests.", ["status"], registry=self._registry)

    def answer(self, path: bytes) -> tuple[str, bytes]:
        """Status and body."""
        if path == b"/metrics":
            return "200", generate_latest(self._registry)
        self._due += self._failing
        status = "500" if self._due >= 1 else "200"
        self._due -= status == "500"
        self._counter.labels(status).inc()
        return status, self._name


class _Connection(asyncio.Protocol):
    """HTTP/1.1 without chunked bodies: kept open unless the client wants otherwise, one request after the other."""

    def __init__(self, service: _Service) -> None:
        self._service, self._received = service, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._answer_one():
            pass

    def _answer_one(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end or self._transport is None or self._transport.is_closing():
            return False
        first, *lines = head.split(b"\r\n")
        method, target, protocol = first.split(b" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        length = int(fields.get(b"content-length", b"0"))
        if len(rest) < length:
            return False
        self._received = rest[length:]
        status, body = self._service.answer(target.partition(b"?")[0])
        wish = fields.get(b"connection", b"").lower()
        kept = wish != b"close" if protocol == b"HTTP/1.1" else wish == b"keep-alive"
        says = (
            f"HTTP/1.1 {status} {'OK' if status == '200' else 'Internal Server Error'}\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'keep-alive' if kept else 'close'}\r\n\r\n"
        )
        self._transport.write(says.encode() + (b"" if method == b"HEAD" else body))
        if not kept:
            self._transport.close()
        return kept


async def _serve(port: str, version: str, failing: str) -> None:
    service = _Service(version, float(failing))
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(service), HOST, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
