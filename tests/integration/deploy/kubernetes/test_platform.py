"""Kubernetes as a platform for blue-green deploys: the real kubectl against an API of the tests' own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from healthd_deploy.kubernetes.settings import KubernetesConfig
from tests.servers import kubernetes, kubernetes_controllers
from tests.servers.kubernetes import Api
from tests.servers.programs import require

SERVICE = "/api/v1/namespaces/shop/services/api"
IMAGE = "registry.example.com/shop/api"


def deployment_path(color: str) -> str:
    return f"/apis/apps/v1/namespaces/shop/deployments/api-{color}"


def put_deployment(api: Api, color: str, version: str, replicas: int, **spec: Any) -> None:
    labels = {"app": "api", "color": color}
    template = {
        "metadata": {"labels": {**labels, "app.kubernetes.io/version": version}},
        "spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "api", "image": f"{IMAGE}:{version}"}]},
    }
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    api.put(deployment_path(color), {"spec": body})


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Api]:
    """Blue has the traffic with 1.0, green nothing."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
    async with kubernetes.running() as running:
        running.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "blue"}}})
        put_deployment(running, "blue", "1.0", 3)
        put_deployment(running, "green", "0.9", 0)
        yield running


def config(api: Api, folder: Path, **application: Any) -> KubernetesConfig:
    named = {
        "namespace": "shop",
        "service": "api",
        "deployments": {"blue": "api-blue", "green": "api-green"},
        "container": "api",
        "image": f"{IMAGE}:$version",
        **application,
    }
    kubectl = {"program": str(require("kubectl")), "kubeconfig": str(api.kubeconfig(folder)), "context": "tests"}
    return KubernetesConfig.model_validate({"service": "api", "application": named, "kubectl": kubectl})


@pytest.fixture
def platform(api: Api, tmp_path: Path) -> KubernetesPlatform:
    return KubernetesPlatform(config(api, tmp_path), every=0.05)


async def test_the_service_says_who_is_live(api: Api, platform: KubernetesPlatform) -> None:
    """And the pods' label which version a target has."""
    assert (await platform.live(), await platform.idle()) == ("blue", "green")
    assert (await platform.version("blue"), await platform.version("green")) == ("1.0", "0.9")
    api.put(SERVICE, {"spec": {"selector": {"app": "api"}}})
    with pytest.raises(StepFailed, match="selects color=None: neither blue nor green"):
        await platform.live()


async def test_a_release_has_as_many_pods_as_the_live_target(api: Api, platform: KubernetesPlatform) -> None:
    """It ends when all of them are available; nothing else of the Deployment changes; done twice it changes nothing."""
    before = api.get(deployment_path("green"))["spec"]
    async with kubernetes_controllers.running(api):
        await platform.release("green", "2.0")
        after = api.get(deployment_path("green"))
        await platform.release("green", "2.0")
        again = api.get(deployment_path("green"))
    assert after["status"]["availableReplicas"] == 3
    before["replicas"] = 3
    before["template"]["metadata"]["labels"]["app.kubernetes.io/version"] = "2.0"
    before["template"]["spec"]["containers"][1]["image"] = f"{IMAGE}:2.0"
    assert after["spec"] == before
    assert again["metadata"]["generation"] == after["metadata"]["generation"]


async def test_a_release_whose_pods_do_not_start_says_why(api: Api, platform: KubernetesPlatform) -> None:
    """The cluster's reason and the pods' own."""

    async def fails(_name: str, image: str, _replicas: int) -> bool:
        return not image.endswith("2.0")

    says = r"has timed out progressing.*; the cluster says: ImagePullBackOff \(Back-off pulling image\)"
    with pytest.raises(StepFailed, match=says):
        async with kubernetes_controllers.running(api, fails):
            await platform.release("green", "2.0")


async def test_the_same_version_again_gets_new_pods_where_the_cluster_had_given_up(
    api: Api, platform: KubernetesPlatform
) -> None:
    """A verdict about a template stays with it, whatever was mended since: read again, it would fail at the first
    look. And while it runs, the same version again changes nothing."""
    pulls = False

    async def runs(_name: str, image: str, _replicas: int) -> bool:
        return pulls or not image.endswith("2.0")

    async with kubernetes_controllers.running(api, runs):
        with pytest.raises(StepFailed, match="timed out progressing"):
            await platform.release("green", "2.0")
        pulls = True
        await platform.release("green", "2.0")
        after = api.get(deployment_path("green"))
        await platform.release("green", "2.0")
        again = api.get(deployment_path("green"))
    assert "kubectl.kubernetes.io/restartedAt" in after["spec"]["template"]["metadata"]["annotations"]
    assert (after["status"]["availableReplicas"], again["metadata"]["generation"]) == (
        3,
        after["metadata"]["generation"],
    )


async def test_pods_that_cannot_be_made_are_told_at_once(api: Api, tmp_path: Path) -> None:
    """By the Deployment, since there is no pod that could: while it is waited for, and at the end."""
    said: list[str] = []
    platform = KubernetesPlatform(config(api, tmp_path, ready_within="4s"), every=0.05, say=said.append)
    quota = 'pods "api-green" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
    with pytest.raises(StepFailed, match=r"not within 4 s; the cluster says: FailedCreate: pods .* exceeded quota"):
        async with kubernetes_controllers.running(
            api, refuse=lambda pod: quota if pod["metadata"]["labels"]["color"] == "green" else None
        ):
            await platform.release("green", "2.0")
    assert f"api-green: 0 of 3 pods are new (FailedCreate: {quota})" in said
    assert len(said) == len(set(said))


async def test_a_cluster_that_is_away_for_a_while_ends_no_release(api: Api, platform: KubernetesPlatform) -> None:
    """A look that fails is none that says no: an upgrade of the control plane takes longer than a call."""
    back = asyncio.get_running_loop()
    api.after_patch = lambda *_: setattr(api, "away", kubernetes.status(503, "apiserver is shutting down"))
    back.call_later(3, lambda: setattr(api, "away", None))
    async with kubernetes_controllers.running(api):
        await platform.release("green", "2.0")
    assert api.get(deployment_path("green"))["status"]["availableReplicas"] == 3


async def test_a_target_is_put_back_to_what_it_was(api: Api, platform: KubernetesPlatform) -> None:
    """Its image, its version, its pods: what a failed release would leave costs as much as what is live. Not while it
    has the traffic; and a target to which nothing was released stays."""
    before = api.get(deployment_path("green"))["spec"]
    async with kubernetes_controllers.running(api):
        await platform.put_back("green")
        assert not api.patches
        await platform.release("green", "2.0")
        await platform.switch("green")
        with pytest.raises(StepFailed, match="green has the traffic: it stays as it is"):
            await platform.put_back("green")
        await platform.switch("blue")
        await platform.put_back("green")
        patches = len(api.patches)
        await platform.put_back("green")
    assert api.get(deployment_path("green"))["spec"] == before
    assert len(api.patches) == patches


async def test_a_version_and_a_digest_are_deployed_together(api: Api, tmp_path: Path) -> None:
    """The label has the version, which the gates know, and the image both; the same version made of something else is
    refused where it is live."""
    digest, other = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
    settings = config(api, tmp_path, image=f"{IMAGE}:$version@$digest")
    async with kubernetes_controllers.running(api):
        platform = KubernetesPlatform(settings, digest=digest, every=0.05)
        await platform.release("green", "2.0")
        assert (
            api.get(deployment_path("green"))["spec"]["template"]["spec"]["containers"][1]["image"]
            == f"{IMAGE}:2.0@{digest}"
        )
        assert await platform.version("green") == "2.0"
        await platform.switch("green")
        await platform.refuse_other_digest("2.0")
        with pytest.raises(StepFailed, match=r"2\.0 is live as .*: give what is to be deployed a version of its own"):
            await KubernetesPlatform(settings, digest=other).refuse_other_digest("2.0")


async def test_a_release_does_not_wait_for_ever(api: Api, tmp_path: Path) -> None:
    """Nobody acts on the change here."""
    platform = KubernetesPlatform(config(api, tmp_path, ready_within="1s"), every=0.05)
    with pytest.raises(StepFailed, match="Deployment api-green is available: not within 1 s"):
        await platform.release("green", "2.0")


@pytest.mark.parametrize(
    ("spec", "application", "problem"),
    [
        ({}, {"container": "web"}, "no container web in it, only proxy, api"),
        ({"selector": {"matchLabels": {"app.kubernetes.io/version": "1"}}}, {}, "its selector has"),
        ({"paused": True}, {}, "kubectl rollout resume deployment/api-green"),
    ],
)
async def test_a_deployment_that_cannot_be_released_to(
    api: Api, tmp_path: Path, spec: dict[str, Any], application: dict[str, Any], problem: str
) -> None:
    """It is told what is wrong with it."""
    put_deployment(api, "green", "0.9", 0, **spec)
    with pytest.raises(StepFailed, match=problem):
        await KubernetesPlatform(config(api, tmp_path, **application)).release("green", "2.0")


async def test_a_switch_changes_the_selector_and_nothing_else(api: Api, platform: KubernetesPlatform) -> None:
    """Once: where it is so already nothing is sent."""
    async with kubernetes_controllers.running(api):
        await platform.release("green", "2.0")
    await platform.switch("green")
    patches = len(api.patches)
    await platform.switch("green")
    assert api.get(SERVICE)["spec"] == {"selector": {"app": "api", "color": "green"}}
    assert len(api.patches) == patches


async def test_a_target_without_a_ready_pod_gets_no_traffic(api: Api, platform: KubernetesPlatform) -> None:
    """Not even when a deploy is undone; and the pods that count are those that the Service would select."""
    for gives in (platform.switch, platform.could_take_back):
        with pytest.raises(StepFailed, match="no pod with app=api, color=green is ready: green gets no traffic"):
            await gives("green")
    assert not api.patches
    async with kubernetes_controllers.running(api):
        await platform.release("green", "2.0")
    api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "blue", "tier": "web"}}})
    with pytest.raises(StepFailed, match="no pod with app=api, color=green, tier=web is ready"):
        await platform.switch("green")


async def test_a_switch_bears_somebody_faster(api: Api, platform: KubernetesPlatform) -> None:
    """healthd's own rollback did the same: fine. Somebody did something else: that is not overwritten."""
    async with kubernetes_controllers.running(api):
        await platform.release("green", "2.0")
    api.before_patch = lambda: api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "green"}}})
    await platform.switch("green")
    api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "blue"}}})
    api.before_patch = lambda: api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": "yellow"}}})
    with pytest.raises(StepFailed, match="selects color=yellow"):
        await platform.switch("green")
    assert api.get(SERVICE)["spec"]["selector"]["color"] == "yellow"


async def test_a_target_is_retired(api: Api, platform: KubernetesPlatform) -> None:
    """Scaled to nothing; which version it had stays known."""
    await platform.retire("blue")
    assert api.get(deployment_path("blue"))["spec"]["replicas"] == 0
    assert await platform.version("blue") == "1.0"


async def test_what_kubectl_says_is_told(api: Api, tmp_path: Path) -> None:
    """An object that is not there, a cluster that does not let one in."""
    with pytest.raises(StepFailed, match='services "nothing" not found'):
        await KubernetesPlatform(config(api, tmp_path, service="nothing")).live()
    denied = config(api, tmp_path)
    file = tmp_path / "kubeconfig"
    file.write_text(file.read_text().replace(kubernetes.TOKEN, "another"))
    with pytest.raises(StepFailed, match=r"must be logged in|Unauthorized"):
        await KubernetesPlatform(denied).live()
