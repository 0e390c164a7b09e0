"""What strangers may ask for as often as they like costs a tenth of the processor at most."""

import gzip
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families as parse

from healthd.web import spending as spent
from healthd.web.metrics_page import MetricsPage
from healthd.web.spending import Spending
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Open


@dataclass
class Machine:
    """A clock, and a processor that a drawing takes so much of."""

    now: float = 0.0
    used: float = 0.0
    each: float = 0.05

    def work(self) -> float:
        self.used += self.each / 2  # it is asked before and after
        return self.used


def test_a_share_of_the_processor() -> None:
    """A burst at once, then a tenth, for as long as one likes."""
    machine, drawn = Machine(), 0
    spending = Spending(lambda: machine.now, machine.work)
    for _ in range(6000):
        machine.now += 0.01
        if not spending.is_over:
            with spending.counted():
                drawn += 1
    assert drawn * machine.each / 2 == pytest.approx(1.0 + 0.1 * 60, rel=0.05)


async def test_metrics_when_they_are_asked_for_too_often() -> None:
    """The last ones are told, packed or not; a narrowed answer is whole then; another format waits."""
    registry = CollectorRegistry()
    counter = Counter("asked", "…", registry=registry)
    machine = Machine(each=0.5)
    app = web.Application()
    app.add_routes([web.get("/", MetricsPage(registry, Spending(lambda: machine.now, machine.work)).__call__)])
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), auto_decompress=False) as client:

        async def asked(query: str = "", **headers: str) -> float | int:
            async with client.get(f"/{query}", headers={"Accept-Encoding": "identity", **headers}) as answer:
                if answer.status != 200:
                    return answer.status
                body = await answer.read()
                packed = answer.headers.get("Content-Encoding") == "gzip"
                text = (gzip.decompress(body) if packed else body).decode()
            return {one.name: one.value for family in parse(text) for one in family.samples}["asked_total"]

        counted = []
        for _ in range(6):
            counter.inc()
            counted.append(await asked())
        assert counted == [1, 2, 3, 4, 4, 4]
        assert await asked("?name[]=other") == 4
        assert await asked(Accept="text/plain;version=1.0.0") == 503
        machine.now += 20
        assert await asked(**{"Accept-Encoding": "gzip"}) == 6


async def test_the_status_page_when_it_is_asked_for_too_often(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what it was; /health is as it is."""
    monkeypatch.setattr(spent, "_BURST", 0.0)
    site, client = await open_site()
    site.put("db", UP)
    first = await (await client.get("/")).text()
    site.clock.seconds += 60
    assert await (await client.get("/")).text() == first
    assert (await client.get("/health/ready")).status == 503
