"""`healthd-deploy kubernetes blue-green` under load: the real kubectl, real versions, a real daemon that rolls back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.servers import daemon, kubernetes, kubernetes_controllers
from tests.servers.command import Outcome, started
from tests.servers.kubernetes import Api
from tests.servers.programs import require
from tests.servers.requests import Load

SERVICE = "/api/v1/namespaces/shop/services/api"
_POLICY = {
    "initial_delay": "1s",
    "interval": "1s",
    "observe": {"min": "3s", "max": "25s"},
    "criteria": [{"kind": "error_rate", "limit": "3%"}],
    "confirm_timeout": "15s",
    "watch": "0s",
}


@dataclass
class Stage:
    """A Service before blue and green, and the daemon that judges them."""

    api: Api
    folder: Path
    load: Load

    def live(self) -> str:
        return str(self.api.get(SERVICE)["spec"]["selector"]["color"])

    def switches(self) -> list[str]:
        """Whom the Service was pointed at, in order, by whomsoever."""
        changes = [change for path, change in self.api.patches if path == SERVICE]
        return [
            change[-1]["value"] if isinstance(change, list) else change["spec"]["selector"]["color"]
            for change in changes
        ]

    def replicas(self, color: str) -> int:
        return int(self.api.get(_deployment(color))["spec"]["replicas"])

    async def deploy(self, *words: str) -> Outcome:
        argv = ["kubernetes", "blue-green", *words, "--config", str(self.folder / "deploy.json")]
        process = await started("healthd-deploy", *argv)
        out, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())


def _deployment(color: str) -> str:
    return f"/apis/apps/v1/namespaces/shop/deployments/api-{color}"


def put_deployment(api: Api, color: str, version: str, replicas: int) -> None:
    labels = {"app": "api", "color": color}
    pods = {
        "metadata": {"labels": {**labels, "app.kubernetes.io/version": version}},
        "spec": {"containers": [{"name": "api", "image": f"shop/api:{version}"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pods}
    api.put(_deployment(color), {"spec": spec})


def _settings(hosts: Fleet, folder: Path, kubeconfig: Path) -> dict[str, Any]:
    source = {"kind": "scrape", "requests": "app_requests_total", "errors": 'app_requests_total{status="500"}'}
    back = {
        "kind": "kubernetes",
        "kubeconfig": str(kubeconfig),
        "namespace": "shop",
        "service": "api",
        "selector": {"color": "$target"},
    }
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "checks": {"here": {"kind": "process", "interval": "1s", "timeout": "1s"}},
        "groups": {"preflight": {"checks": ["here"]}},
        "services": {"api": {"targets": hosts.urls, "source": source, "on_fail": ["traffic-back"]}},
        "policies": {
            "post-switch": _POLICY,
            "smoke": {"criteria": [{"kind": "smoke", "requests": [{"get": "/health", "status": 200}]}]},
        },
        "actions": {"traffic-back": back},
    }


@asynccontextmanager
async def staged(folder: Path, failing: dict[str, float] | None = None) -> AsyncIterator[Stage]:
    """Version 1.0 on blue has the traffic; green is scaled to nothing."""
    async with AsyncExitStack() as stack:
        hosts = await stack.enter_async_context(fleet.running(failing or {}, blue="1.0", green="0.9"))
        api = await stack.enter_async_context(kubernetes.running())
        api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "blue"}}})
        put_deployment(api, "blue", "1.0", 2)
        put_deployment(api, "green", "0.9", 0)
        await stack.enter_async_context(kubernetes_controllers.running(api, kubelet(hosts)))
        kubeconfig = api.kubeconfig(folder)
        gates = await stack.enter_async_context(daemon.running(_settings(hosts, folder, kubeconfig)))
        settings = {
            "service": "api",
            "healthd": {"url": gates.url, "token": daemon.TOKEN, "retry_for": "5s"},
            "gates": {"before": ["preflight"], "idle": ["smoke"]},
            "application": {
                "namespace": "shop",
                "service": "api",
                "deployments": {"blue": "api-blue", "green": "api-green"},
                "container": "api",
                "image": "shop/api:$version",
                "ready_within": "30s",
            },
            "kubectl": {"program": str(require("kubectl")), "kubeconfig": str(kubeconfig), "context": "tests"},
            "retire_after": "0s",
        }
        (folder / "deploy.json").write_text(json.dumps(settings))
        stage = Stage(api, folder, Load(hosts.urls["blue"]))
        proxy = asyncio.create_task(_proxy(stage, hosts), name="kube-proxy")
        stack.callback(proxy.cancel)
        yield stage


def kubelet(hosts: Fleet) -> kubernetes_controllers.Start:
    """Runs the image of a Deployment as a process, all its pods as one. What runs already is not started again: it has
    the traffic."""

    async def start(name: str, image: str, replicas: int) -> bool:
        color, version = name.removeprefix("api-"), image.partition(":")[2]
        if not replicas:
            await hosts.end(color)
        elif hosts.version_on(color) != version:
            await hosts.release(color, version)
        return True

    return start


async def _proxy(stage: Stage, hosts: Fleet) -> None:
    """New requests go where the Service points."""
    while True:
        stage.load.url = hosts.urls[stage.live()]
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kubectl remembers of a cluster does not outlive the test."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))


async def test_good_is_promoted_and_bad_is_put_back(tmp_path: Path) -> None:
    """The old pods go once the good one may stay; the bad one loses the traffic to it, switched back exactly once."""
    async with staged(tmp_path, {"2.0": 0.1}) as stage, stage.load.running():
        good = await stage.deploy("1.1")
        assert good.code == 0, good.err
        assert (stage.live(), stage.replicas("green"), stage.replicas("blue")) == ("green", 2, 0)
        assert [each for each in stage.load.seen if each[1] != 200] == []
        bad = await stage.deploy("2.0", "--json")
        assert bad.code == 1, bad.err
        assert stage.switches() == ["green", "blue", "green"]
        assert (stage.live(), stage.replicas("green")) == ("green", 2)
    assert bad.json()["ending"] == "failed"
    assert "healthd: " in bad.err


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It asks the cluster who is live, says what it would do, and patches nothing."""
    async with staged(tmp_path) as stage:
        outcome = await stage.deploy("1.1", "--dry-run")
        assert outcome.code == 0, outcome.err
        assert "would switch the traffic from blue to green" in outcome.err
        assert not stage.api.patches


async def test_nothing_is_switched_to_what_cannot_serve(tmp_path: Path) -> None:
    """A version that fails its smoke requests gets no traffic."""
    async with staged(tmp_path, {"3.0": 1.0}) as stage:
        outcome = await stage.deploy("3.0")
        assert outcome.code == 1, outcome.err
        assert "gate smoke" in outcome.err
        assert not stage.switches()
