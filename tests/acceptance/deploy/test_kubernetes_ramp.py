"""`healthd-deploy kubernetes blue-green --strategy ramp` under load: the real kubectl, real versions, a real daemon
whose action sets the weights of an HTTPRoute or of a canary Ingress, by which each request finds its version. Objects,
configurations and commands are those of the page."""

import asyncio
import json
import os
import random
import signal
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd_gates.client.client import GateClient
from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.deploy.test_kubernetes import kubelet, put_deployment
from tests.acceptance.deploy.test_nginx import ended
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, POLICY
from tests.acceptance.guide import blocks_of
from tests.servers import daemon, kubernetes, kubernetes_controllers
from tests.servers.command import Outcome, Running, started
from tests.servers.daemon import Daemon
from tests.servers.kubernetes import Api
from tests.servers.programs import require
from tests.servers.requests import Client, Load
from tests.servers.waiting import until

PAGE = Path(__file__).parents[3] / "docs/deploy/kubernetes.md"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/api"
CANARY = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/api-canary"
_WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"
KINDS = pytest.mark.parametrize("kind", ["route", "ingress"])


def documented(part: str) -> Any:
    """The block of the page on ramps that has this part."""
    section = PAGE.read_text().partition("## Widening a release by evidence")[2]
    (block,) = [text for kind, text in blocks_of(section) if kind == "yaml" and part in text]
    return YAML(typ="safe").load(block)


def moved_by(kind: str, tree: Any) -> Any:
    """Part of a configuration, with the canary in place of the route as the page says."""
    if kind == "ingress":
        del tree["route"]
        tree["ingress"] = "api-canary"
    return tree


def routed(api: Api) -> dict[str, int]:
    """The weights of an HTTPRoute, as a Gateway divides by them."""
    (rule,) = api.get(ROUTE)["spec"]["rules"]
    return {ref["name"].removeprefix("api-"): ref["weight"] for ref in rule["backendRefs"]}


def by_canary(api: Api) -> dict[str, int]:
    """The weight of the canary, and what is left for the main Ingress, as ingress-nginx divides by them."""
    canary = api.get(CANARY)
    (path,) = canary["spec"]["rules"][0]["http"]["paths"]
    served = path["backend"]["service"]["name"].removeprefix("api-")
    annotations = canary["metadata"]["annotations"]
    weight, total = int(annotations[_WEIGHT]), int(annotations.get(f"{_WEIGHT}-total", "100"))
    return {served: weight, "green" if served == "blue" else "blue": max(0, total - weight)}


class Routed(Load):
    """Requests that a Gateway, or ingress-nginx, would divide: each goes to a version by the weights of now."""

    def __init__(self, weights: Callable[[], dict[str, int]], hosts: Fleet) -> None:
        super().__init__("")
        self._weights, self._hosts = weights, hosts

    async def send_one(self, client: Client) -> None:
        weights = self._weights()
        (chosen,) = random.choices(list(weights), list(weights.values()))
        self.url = self._hosts.urls[chosen]
        await super().send_one(client)


@dataclass
class Stage:
    """A route or a canary before blue and green, and the daemon that moves its traffic."""

    api: Api
    daemon: Daemon
    folder: Path
    load: Load
    weights: Callable[[], dict[str, int]]
    kubeconfig: Path

    def share(self, target: str) -> float:
        weights = self.weights()
        return weights[target] / sum(weights.values())

    async def carry_out(self, command: str) -> Outcome:
        """Run a command of the page, as a person with this kubeconfig does."""
        path = f"{require('kubectl').parent}:{os.environ['PATH']}"
        env = os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}
        process = await asyncio.create_subprocess_exec("sh", "-c", command, env=env, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *words: str) -> Running:
        argv = ["kubernetes", "blue-green", *words, "--strategy", "ramp", "--config", str(self.folder / "deploy.json")]
        return await started("healthd-deploy", *argv)

    async def deploy(self, *words: str) -> Outcome:
        return await ended(await self.start(*words))


@asynccontextmanager
async def staged(
    folder: Path, failing: dict[str, float] | None = None, budget: float = BUDGET, kind: str = "route"
) -> AsyncIterator[Stage]:
    """Version 1.0 on blue has the traffic; green is scaled to nothing."""
    async with AsyncExitStack() as stack:
        hosts = await stack.enter_async_context(fleet.running(failing or {}, blue="1.0", green="0.9"))
        api = await stack.enter_async_context(kubernetes.running())
        path, written = (ROUTE, "kind: HTTPRoute") if kind == "route" else (CANARY, "kind: Ingress")
        shown = documented(written)
        api.put(path, {"metadata": {"annotations": shown["metadata"].get("annotations", {})}, "spec": shown["spec"]})
        for color, version, replicas in (("blue", "1.0", 2), ("green", "0.9", 0)):
            api.put(f"/api/v1/namespaces/shop/services/api-{color}", {"spec": {"selector": {"color": color}}})
            put_deployment(api, color, version, replicas)
        await stack.enter_async_context(kubernetes_controllers.running(api, kubelet(hosts)))
        kubeconfig = api.kubeconfig(folder)
        judging = await stack.enter_async_context(daemon.running(_settings(hosts, folder, kubeconfig, budget, kind)))
        shown = documented("application:")
        moved_by(kind, shown["application"])
        settings = {
            **shown,
            "service": "api",
            "healthd": {"url": judging.url, "token": daemon.TOKEN, "retry_for": "5s"},
            "application": {**shown["application"], "ready_within": "30s"},
            "kubectl": {"program": str(require("kubectl")), "kubeconfig": str(kubeconfig), "context": "tests"},
            "retire_after": "1s",  # a request may be under way whose version was chosen before the last weight
        }
        (folder / "deploy.json").write_text(json.dumps(settings))
        weights = partial(routed if kind == "route" else by_canary, api)
        yield Stage(api, judging, folder, Routed(weights, hosts), weights, kubeconfig)


def _settings(hosts: Fleet, folder: Path, kubeconfig: Path, budget: float, kind: str) -> dict[str, Any]:
    """Those of the page, with numbers from the versions themselves, quicker, and with the way to the cluster."""
    shown = documented("on_ramp:")
    source = {"kind": "scrape", "requests": "app_requests_total", "errors": 'app_requests_total{status="500"}'}
    shown["services"]["api"] |= {"targets": hosts.urls, "source": source}
    shown["policies"]["gradual"] = POLICY | shown["policies"]["gradual"]
    shown["policies"]["gradual"]["ramp"] = {"budget": budget, "timeout": "3m"}
    moved_by(kind, shown["actions"]["weigh"])["kubeconfig"] = str(kubeconfig)
    return {"journal": f"sqlite:///{folder}/journal.db", **shown}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kubectl remembers of a cluster does not outlive the test."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))


@KINDS
async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path, kind: str) -> None:
    """No request of the good one fails, and the old pods go. Of the bad one about the budget fails, counted by those
    who were harmed."""
    async with staged(tmp_path, {"2.0": 0.1}, kind=kind) as stage, stage.load.running():
        good = await stage.deploy("1.1")
        assert good.code == 0, good.err
        assert [each for each in stage.load.seen if each[1] != 200] == []
        assert stage.share("green") == 1
        assert stage.api.get("/apis/apps/v1/namespaces/shop/deployments/api-blue")["spec"]["replicas"] == 0
        stage.load.seen.clear()
        bad = await stage.deploy("2.0", "--json")
        settled = len(stage.load.seen)
        await until(lambda: len(stage.load.seen) > settled + 50, "more requests")
    assert bad.code == 1, bad.err
    assert stage.share("green") == 1
    assert set(stage.load.seen[settled:]) == {("1.1", 200)}
    failed = Counter(stage.load.seen)["2.0", 500]
    assert sum(status != 200 for _, status in stage.load.seen) == failed
    assert 0 < failed <= 1.5 * BUDGET
    assert 0 < bad.json()["weight"] <= 1


async def test_a_deploy_that_is_interrupted_takes_the_traffic_back(tmp_path: Path) -> None:
    """SIGTERM in the middle of the ramp."""
    async with staged(tmp_path) as stage, stage.load.running():
        deploy = await stage.start("1.1")
        await until(lambda: stage.weights()["green"] > 0, "the first weight")
        deploy.send_signal(signal.SIGTERM)
        outcome = await ended(deploy)
        assert outcome.code == 130, outcome.err
        changes = len(stage.api.patches)
        settled = len(stage.load.seen)
        await until(lambda: len(stage.load.seen) > settled + 200, "more requests")
        assert set(stage.load.seen[settled + 10 :]) == {("1.0", 200)}
        assert (stage.weights(), len(stage.api.patches)) == ({"blue": 100, "green": 0}, changes)


@KINDS
async def test_a_killed_tool_is_joined_and_a_second_deploy_finds_who_was_there_before(
    tmp_path: Path, kind: str
) -> None:
    """However wide the ramp is by then. A person who cancels keeps the weight: exit code 4; nothing else is released to
    the target that has it, until a person decides by the page's command."""
    async with (
        staged(tmp_path, budget=5, kind=kind) as stage,
        stage.load.running(),
        GateClient(stage.daemon.url, daemon.TOKEN) as client,
    ):
        first = await stage.start("1.1", "--key", "run-7")
        await until(lambda: stage.weights()["green"] > 0, "the first weight")
        first.kill()
        await first.communicate()
        second = await stage.start("1.1", "--key", "run-7")
        assert second.stderr is not None
        said = ""
        while "let healthd move" not in said:
            line = (await asyncio.wait_for(second.stderr.readline(), 60)).decode()
            assert line, said
            said += line
        (gate,) = (await client.gates(service="api")).gates
        await client.cancel(gate.id, "the new schema does not bear the old version")
        outcome = await ended(second)
        assert outcome.code == 4, outcome.err
        assert 0 < stage.weights()["green"] < sum(stage.weights().values())
        another = await stage.deploy("1.2")
        assert (another.code, "of the traffic: nothing may be released to it" in another.out) == (1, True), another
        assert "which target has the traffic: blue" in another.err
        section = PAGE.read_text().partition("## Widening a release by evidence")[2]
        named = "httproute" if kind == "route" else "ingress"
        (decides,) = [text for language, text in blocks_of(section) if language == "sh" and named in text]
        decided = await stage.carry_out(decides)
        assert (decided.code, stage.share("blue")) == (0, 1), decided
