"""One version of a small HTTP service, of which a given share of the requests fails; it counts them on `/metrics`.

The service is this file, run as a script: `python version.py PORT VERSION FAILING`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
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


def _application(version: str, failing: float) -> web.Application:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    counter = Counter("app_requests", "Requests.", ["status"], registry=registry)
    due = 0.0

    async def serve(_request: web.Request) -> web.Response:
        nonlocal due
        due += failing
        status = 200
        if due >= 1:
            due, status = due - 1, 500
        counter.labels(str(status)).inc()
        return web.Response(status=status, text=version)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/{path:.*}", serve)])
    return application


if __name__ == "__main__":
    web.run_app(_application(sys.argv[2], float(sys.argv[3])), host=HOST, port=int(sys.argv[1]), access_log=None)
