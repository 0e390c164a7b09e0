"""A release behind a real HAProxy that healthd widens under load, by the Runtime API."""

import asyncio
import html
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Metric

from healthd_gates.schema.gate import GateDocument
from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, POLICY, judged, rolled_out
from tests.servers import daemon, haproxy
from tests.servers.daemon import Daemon
from tests.servers.haproxy import HAProxy
from tests.servers.ports import HOST, free_port
from tests.servers.requests import Load
from tests.servers.waiting import until


@dataclass(frozen=True)
class Stage:
    """HAProxy before blue, which has the traffic, and green; and the daemon that judges them."""

    fleet: Fleet
    balancer: HAProxy
    daemon: Daemon


@asynccontextmanager
async def staged(folder: Path, failing: dict[str, float], weights: tuple[int, int] = (100, 0)) -> AsyncIterator[Stage]:
    """Blue has the traffic, whatever `weights` of blue and green stand in HAProxy's file."""
    async with fleet.running(failing, blue="1.0", green="0.9") as hosts:
        b1, g1 = (
            f" server {server} {hosts.urls[host].removeprefix('http://')} weight {weight}\n"
            for host, server, weight in (("blue", "b1", weights[0]), ("green", "g1", weights[1]))
        )
        with haproxy.running(f"default_backend web\nbackend web\n{b1}{g1}") as balancer:
            for server, weight in (("b1", 100), ("g1", 0)):
                balancer.command(f"set server web/{server} weight {weight}")
            source = {
                "kind": "scrape",
                "requests": "app_requests_total",
                "errors": 'app_requests_total{status="500"}',
            }
            async with daemon.running(_settings(folder, balancer, hosts.urls, source)) as judging:
                yield Stage(hosts, balancer, judging)


def _settings(
    folder: Path, balancer: HAProxy, targets: dict[str, str], source: dict[str, Any], **policy: Any
) -> dict[str, Any]:
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "services": {"api": {"targets": targets, "source": source, "policy": "gradual", "on_ramp": ["weigh"]}},
        "policies": {"gradual": POLICY | {"ramp": {"budget": BUDGET, "timeout": "3m"}, **policy}},
        "actions": {
            "weigh": {
                "kind": "haproxy",
                "sockets": [str(balancer.stats)],
                "backend": "web",
                "servers": {"blue": ["b1"], "green": ["g1"]},
            }
        },
    }


async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path) -> None:
    """Not a request of the good one fails; of the bad one about the budget, counted by those who were harmed."""
    async with staged(tmp_path, {"2.0": 0.1}) as stage, Load(stage.balancer.url).running() as load:
        bad = await rolled_out(stage, "2.0")
        assert bad.verdict == "fail", bad
        assert bad.rollback is not None
        assert bad.rollback.state == "rolled_back", bad.rollback
        failed = Counter(load.seen)["2.0", 500]
        assert sum(status != 200 for _, status in load.seen) == failed
        assert 0 < failed <= 1.5 * BUDGET
        load.seen.clear()
        good = await rolled_out(stage, "2.1")
        assert good.verdict == "pass", good
        settled = len(load.seen)
        await until(lambda: len(load.seen) > settled + 50, "more requests")
        assert [each for each in load.seen if each[1] != 200] == []
        assert set(load.seen[settled + 10 :]) == {("2.1", 200)}


SLOW = 1.5  # seconds
LIMITS = [
    {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}},
    {"kind": "latency", "quantile": "90%", "limit": "1s"},
]


class App:
    """A version in the loop of the test: it answers at once, `slow`, or `never`, or fails on one `route` of twenty.
    `harmed` are those that waited or failed."""

    def __init__(self) -> None:
        self.kind, self.harmed, self._served = "good", 0, 0
        self.begin()

    def begin(self) -> None:
        """Begin anew, as a process does: its counters are at 0."""
        self._registry = CollectorRegistry()
        self._requests = Metric("app_requests", "Requests.", ["status"], registry=self._registry)
        self._seconds = Histogram("app_seconds", "Times.", buckets=(0.1, 1.0, 2.0), registry=self._registry)
        self._requests.labels("200")
        self._requests.labels("500")
        self.web = web.Application()
        self.web.add_routes([web.get("/metrics", self._metrics), web.get("/", self._serve)])

    async def _serve(self, _request: web.Request) -> web.Response:
        self._served += 1
        if self.kind == "route" and self._served % 20 == 0:
            self.harmed += 1
            self._requests.labels("500").inc()
            return web.Response(status=500)
        if self.kind in ("slow", "never"):
            self.harmed += 1
            await asyncio.sleep(SLOW if self.kind == "slow" else 3600)
        self._seconds.observe(SLOW if self.kind == "slow" else 0.001)
        self._requests.labels("200").inc()
        return web.Response(text="green")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")


@asynccontextmanager
async def _crashing(app: App, runner: web.AppRunner) -> AsyncIterator[None]:
    """A process that states no start and ends soon after each, with nobody at its port in between."""
    port = runner.addresses[0][1]

    async def crash_again_and_again(runner: web.AppRunner) -> None:
        try:
            while True:
                await runner.cleanup()
                await asyncio.sleep(1.0)
                app.begin()
                runner = web.AppRunner(app.web, shutdown_timeout=0.1)
                await runner.setup()
                await web.TCPSite(runner, HOST, port).start()
                await asyncio.sleep(1.5)
        finally:
            await runner.cleanup()

    crashes = asyncio.ensure_future(crash_again_and_again(runner))
    try:
        yield
    finally:
        crashes.cancel()
        await asyncio.wait({crashes})


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("slow", "fail"),
        ("route", "fail"),
        ("never", "inconclusive"),
        ("gone", "inconclusive"),
        ("looping", "inconclusive"),
    ],
)
async def test_what_is_bad_in_another_way_is_back_at_nothing(tmp_path: Path, kind: str, verdict: str) -> None:
    """Slow, one route of twenty, a black hole whose metrics go on, a process that is gone, and one that crashes again
    and again: counted by those who were harmed."""
    apps = {"blue": App(), "green": App()}
    runners: dict[str, web.AppRunner] = {}
    for host, app in apps.items():
        runners[host] = web.AppRunner(app.web, shutdown_timeout=0.1)
        await runners[host].setup()
        await web.TCPSite(runners[host], HOST, free_port()).start()
    ends = {host: f"{HOST}:{runner.addresses[0][1]}" for host, runner in runners.items()}
    backend = f"backend web\n retries 0\n server b1 {ends['blue']} weight 100\n server g1 {ends['green']} weight 0\n"
    source = {
        "kind": "scrape",
        "requests": "app_requests_total",
        "errors": 'app_requests_total{status="500"}',
        "latency": "app_seconds_bucket",
        "timeout": "1s",
    }
    targets = {host: f"http://{end}" for host, end in ends.items()}
    try:
        with haproxy.running(f"default_backend web\n{backend}") as balancer:
            async with daemon.running(_settings(tmp_path, balancer, targets, source, criteria=LIMITS)) as judging:
                load = Load(balancer.url)
                async with load.running():
                    apps["green"].kind = kind
                    if kind == "gone":
                        await runners["green"].cleanup()
                    async with _crashing(apps["green"], runners["green"]) if kind == "looping" else nullcontext():
                        gate = await judged(judging, "2.0")
                    assert balancer.server("web", "g1")["weight"] == "0"
                    settled = apps["green"].harmed
                    done = len(load.seen)
                    await until(lambda: len(load.seen) > done + 50, "more requests")
                assert apps["green"].harmed == settled
    finally:
        for runner in runners.values():
            await runner.cleanup()
    assert gate.verdict == verdict, gate
    assert gate.rollback is not None
    assert gate.rollback.state == "rolled_back", gate.rollback
    lost = sum(status != 200 for _, status in load.seen)
    harmed = lost if kind in ("gone", "looping") else settled
    assert 0 < harmed <= 1.5 * BUDGET
    assert lost <= harmed


class Reloading:
    """Reloads HAProxy once, at the first look that a gate has at what is asked for. The daemon stands still until the
    weights are read: it sets them again at its next look."""

    def __init__(self, stage: Stage, at: Callable[[GateDocument], bool]) -> None:
        self._stage, self._at = stage, at
        self.weights: list[str] = []

    async def see(self, gate: GateDocument) -> None:
        if self.weights or not self._at(gate):
            return
        self._stage.daemon.pause()
        try:
            await asyncio.to_thread(self._stage.balancer.reload)
            self.weights = [self._stage.balancer.server("web", name)["weight"] for name in ("b1", "g1")]
        finally:
            self._stage.daemon.resume()


def _is_in_the_middle(gate: GateDocument) -> bool:
    return gate.ramp is not None and 0 < gate.ramp.weight < 1 and gate.ramp.done_at is not None


def _is_back(gate: GateDocument) -> bool:
    return gate.rollback is not None and gate.rollback.state == "confirming"


@pytest.mark.parametrize("weights", [(100, 0), (0, 100)], ids=["to nobody", "to all of it"])
async def test_weights_that_a_reload_lost_in_the_middle_are_set_again(weights: tuple[int, int], tmp_path: Path) -> None:
    """Whatever stands in HAProxy's file: the release has what its ramp ordered, and goes on from there."""
    async with staged(tmp_path, {}, weights) as stage, Load(stage.balancer.url).running() as load:
        reload = Reloading(stage, _is_in_the_middle)
        good = await rolled_out(stage, "1.1", seen=reload.see)
        assert (good.verdict, reload.weights) == ("pass", [str(weight) for weight in weights]), good
        assert stage.balancer.server("web", "b1")["weight"] == "0"
        again = [line for line in await log(stage, good) if " ordered once more: HAProxy at " in line]
        assert len(again) == 1, await log(stage, good)
        assert "since it was reloaded or started again" in again[0]
        assert [each for each in load.seen if each[1] != 200] == []


async def test_a_rollback_that_a_reload_undid_is_carried_out_again(tmp_path: Path) -> None:
    """HAProxy's file gives the bad version everything: it has lost that again before the gate ends."""
    async with staged(tmp_path, {"2.0": 0.1}, (0, 100)) as stage, Load(stage.balancer.url).running():
        reload = Reloading(stage, _is_back)
        bad = await rolled_out(stage, "2.0", seen=reload.see)
        assert (bad.verdict, reload.weights) == ("fail", ["0", "100"]), bad
        assert bad.rollback is not None
        assert (bad.rollback.state, bad.rollback.round) == ("rolled_back", 2), bad.rollback
        assert [stage.balancer.server("web", name)["weight"] for name in ("b1", "g1")] == ["100", "0"]


async def log(stage: Stage, gate: GateDocument) -> list[str]:
    """What the gate's page says of its course."""
    async with aiohttp.ClientSession() as session:
        page = f"{stage.daemon.url}/gates/{gate.id}/page"
        async with session.get(page, headers={"Authorization": f"Bearer {daemon.TOKEN}"}) as answer:
            return html.unescape(await answer.text()).splitlines()
