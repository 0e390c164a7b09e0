"""A small service that counts its requests, as a process of its own, and a load generator that keeps its own log.

The service is this file, run as a script: `python shop.py PORT VERSION`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

sys.path.insert(0, str(Path(__file__).parents[4]))

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving

EDGES = (0.2, 1.0)
SLOW = 0.3  # seconds that a slow answer takes: well beyond the first edge, well below the second


@dataclass(frozen=True)
class Shop(Server):
    """A running service of one version."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@contextmanager
def running(version: str) -> Iterator[Shop]:
    """A service that answers `/` with 200, `/fail` with 500, `/slow` late, and counts on `/metrics`.

    `/reset` clears its counters while it goes on.
    """
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            argv = [sys.executable, __file__, str(port), version]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Shop(port, process)


@dataclass
class Load:
    """Sends requests and logs what came back."""

    log: Tally[int] = field(default_factory=Tally)
    slow: int = 0

    @property
    def requests(self) -> int:
        return self.log.total()

    async def send(self, shop: Shop, good: int = 0, bad: int = 0, slow: int = 0) -> None:
        """All at once, twenty at a time; returns when every answer is there."""
        connections = aiohttp.TCPConnector(limit=20)
        async with aiohttp.ClientSession(shop.url, connector=connections) as client:

            async def one(path: str) -> None:
                async with client.get(path) as response:
                    await response.read()
                    self.log[response.status] += 1
                    self.slow += path == "/slow"

            paths = ["/"] * good + ["/fail"] * bad + ["/slow"] * slow
            await asyncio.gather(*map(one, paths))


def _application(version: str) -> web.Application:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    requests = Counter("shop_requests", "Requests.", ["version", "status"], registry=registry)
    seconds = Histogram("shop_seconds", "Durations.", ["version"], buckets=EDGES, registry=registry)

    async def serve(request: web.Request) -> web.Response:
        start = time.perf_counter()
        if request.path == "/slow":
            await asyncio.sleep(SLOW)
        status = 500 if request.path == "/fail" else 200
        seconds.labels(version).observe(time.perf_counter() - start)
        requests.labels(version, str(status)).inc()
        return web.Response(status=status)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def reset(request: web.Request) -> web.Response:
        requests.clear()
        seconds.clear()
        return web.Response()

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.post("/reset", reset), web.get("/{path:.*}", serve)])
    return application


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    web.run_app(_application(sys.argv[2]), host=HOST, port=int(sys.argv[1]), access_log=None, print=None)
