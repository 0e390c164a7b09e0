"""The Kubernetes double answers as the API server does: the facts of `tests/servers/kubernetes.md`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from healthd.kubernetes.api import Cluster, Patch, Right
from healthd.kubernetes.failures import ApiRefusal
from tests.servers import kubernetes
from tests.servers.kubernetes import Api

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/api"
ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/api"
LABEL = "/spec/template/metadata/labels/app"
PODS = "/api/v1/namespaces/shop/pods"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with kubernetes.running() as running:
        template = {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": []}}
        running.put(DEPLOYMENT, {"spec": {"replicas": 3, "template": template}, "status": {"replicas": 3}})
        running.put(ROLLOUT, {"spec": {"template": template}, "status": {"phase": "Healthy"}})
        running.put(f"{PODS}/a", {"metadata": {"labels": {"app": "api"}}, "spec": {}})
        yield running


@pytest.fixture
async def cluster(api: Api, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(api.kubeconfig(tmp_path), None, {})
    yield cluster
    await cluster.close()


def replace(path: str, value: Any, op: str = "replace") -> Patch:
    return Patch(DEPLOYMENT, "json", [{"op": op, "path": path, "value": value}])


@pytest.mark.parametrize(
    ("change", "status", "says", "kind"),
    [
        (replace("/metadata/resourceVersion", "1", "test"), 422, "the server rejected our request due to an error", ""),
        (replace("/metadata/annotations/a", "b", "add"), 422, "the server rejected our request due to an error", ""),
        (replace("/spec/nothing", "b"), 422, "the server rejected our request due to an error", ""),
        (Patch(DEPLOYMENT, "merge", {"metadata": {"resourceVersion": "1"}}), 409, "Operation cannot be", "deployments"),
        (replace(LABEL, "sha256:1"), 422, 'api" is invalid: spec.template.labels', "Deployment"),
        (replace(LABEL, "1" * 64), 422, 'api" is invalid: spec.template.labels', "Deployment"),
        (Patch(f"{PODS}/b", "merge", {}), 404, 'pods "b" not found', "pods"),
        (Patch("/apis/example.com/v1/namespaces/shop/things/a", "merge", {}), 404, "404 page not found", ""),
    ],
)  # fmt: skip
async def test_what_it_refuses(api: Api, cluster: Cluster, change: Patch, status: int, says: str, kind: str) -> None:
    """With the status, the words and the kind of the original; and nothing is changed."""
    before = api.get(DEPLOYMENT)
    with pytest.raises(ApiRefusal, match=says) as refused:
        await cluster.patch(change)
    assert (refused.value.status, refused.value.kind) == (status, kind)
    assert api.get(DEPLOYMENT) == before


async def test_what_changes_nothing_has_no_new_version(api: Api, cluster: Cluster) -> None:
    """And a status of its own: neither patch reaches what is the other's."""
    before = api.get(DEPLOYMENT)
    await cluster.patch(replace("/spec/replicas", 3))
    await cluster.patch(Patch(DEPLOYMENT, "merge", {"status": {"replicas": 9}}))
    await cluster.patch(Patch(f"{DEPLOYMENT}/status", "merge", {"spec": {"replicas": 9}}))
    assert api.get(DEPLOYMENT) == before
    await cluster.patch(replace("/spec/replicas", 4))
    after = api.get(DEPLOYMENT)["metadata"]
    assert after["generation"] == before["metadata"]["generation"] + 1
    assert [entry["manager"] for entry in after["managedFields"]] == ["healthd"]


async def test_what_a_list_holds(cluster: Cluster) -> None:
    """Items of built-in kinds do not say what they are; a bad selector is refused; what is not there is empty."""
    pods = await cluster.get(PODS)
    assert (pods["kind"], "kind" in pods["items"][0]) == ("PodList", False)
    rollouts = await cluster.get("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts")
    assert (rollouts["kind"], rollouts["items"][0]["kind"]) == ("RolloutList", "Rollout")
    assert await cluster.list("/api/v1/namespaces/nowhere/pods", {}) == []
    with pytest.raises(ApiRefusal, match="400: unable to parse requirement"):
        await cluster.list(PODS, {"app": "a:b"})


async def test_a_long_list_is_read_by_pages(api: Api, cluster: Cluster) -> None:
    """All of it, without one answer that takes the event loop long to parse."""
    for number in range(600):
        api.put(f"/api/v1/nodes/{number}", {"metadata": {"labels": {"pool": "a" if number else "b"}}})
    asked = len(api.received)
    found = await cluster.list("/api/v1/nodes", {"pool": "a"})
    assert sorted(int(each["metadata"]["name"]) for each in found) == list(range(1, 600))
    assert len(api.received) - asked == 3


async def test_who_asks(api: Api, tmp_path: Path) -> None:
    """Nobody is anonymous, and a wrong token is nobody at all; rights can be asked for."""
    file = api.kubeconfig(tmp_path)
    for user, status in (("{}", 403), ('{"token": "wrong"}', 401)):
        other = tmp_path / "other"
        other.write_text(file.read_text().replace(f'{{"token": "{kubernetes.TOKEN}"}}', user))
        stranger = Cluster(other, None, {})
        with pytest.raises(ApiRefusal) as refused:
            await stranger.get(DEPLOYMENT)
        await stranger.close()
        assert refused.value.status == status
    api.denied.add("PATCH")
    mine = Cluster(file, None, {})
    assert [await mine.may(Right(verb, "apps", "deployments", "api"), "shop") for verb in ("get", "patch")] == [
        True,
        False,
    ]
    await mine.close()
