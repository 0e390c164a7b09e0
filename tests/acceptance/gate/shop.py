"""An HTTP service of several shops, as a process of its own: `python shop.py PORT VERSION FLAWS`.

It answers `/SHOP/…`, and counts on `/metrics` by shop, version and status. FLAWS is JSON that says of each shop how
many of its requests fail and how many take how long; one that is not mentioned is faultless.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving

EDGES = (0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a shop: which share of its requests fails, and which takes `seconds`."""

    failing: float = 0.0
    slow: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Shops(Server):
    """The running service of one version."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@contextmanager
def running(version: str, flaws: Mapping[str, Flaw]) -> Iterator[Shops]:
    said = json.dumps({shop: asdict(flaw) for shop, flaw in flaws.items()})
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            argv = [sys.executable, __file__, str(port), version, said]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Shops(port, process)


def _application(version: str, flaws: Mapping[str, Flaw]) -> web.Application:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    labels = ["shop", "version"]
    requests = Counter("http_requests", "Requests.", [*labels, "status"], registry=registry)
    seconds = Histogram("http_request_duration_seconds", "Durations.", labels, buckets=EDGES, registry=registry)
    chance = random.Random(version)

    async def serve(request: web.Request) -> web.Response:
        shop, begun = request.match_info["shop"], time.perf_counter()
        flaw = flaws.get(shop, Flaw())
        status = 500 if chance.random() < flaw.failing else 200
        if chance.random() < flaw.slow:
            await asyncio.sleep(flaw.seconds)
        seconds.labels(shop, version).observe(time.perf_counter() - begun)
        requests.labels(shop, version, str(status)).inc()
        return web.Response(status=status, headers={"X-Version": version})

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/{shop}/{path:.*}", serve)])
    return application


def _main(port: str, version: str, flaws: str) -> None:
    known = {shop: Flaw(**flaw) for shop, flaw in json.loads(flaws).items()}
    web.run_app(_application(version, known), host=HOST, port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    _main(*sys.argv[1:])
