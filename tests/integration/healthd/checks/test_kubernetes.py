"""The kubernetes check against an API of the tests' own, which is as strict as the original about what it is asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd.checks.kubernetes_options import KubernetesConfig
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import kubernetes, kubernetes_controllers, ports, tcp
from tests.servers.kubernetes import Api
from tests.servers.peers import Answer
from tests.servers.waiting import until

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/api"
HEALTHY, DEGRADED, UNHEALTHY = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY
THRESHOLD = FailureKind.THRESHOLD


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with kubernetes.running() as running:
        yield running


def options(api: Api, folder: Path, **more: Any) -> dict[str, Any]:
    return {"namespace": "shop", "kubeconfig": str(api.kubeconfig(folder)), "timeout": "20s", **more}


async def looked(api: Api, folder: Path, **more: Any) -> Result:
    async with watched("kubernetes", **options(api, folder, **more)) as check:
        return await check.look()


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def put(api: Api, path: str, spec: dict[str, Any], *conditions: dict[str, str], **status: Any) -> None:
    """An object whose controller has seen it."""
    api.put(path, {"spec": spec, "status": {"observedGeneration": 1, "conditions": [*conditions], **status}})


AVAILABLE, LACKING = condition("Available", "True"), condition("Available", "False", "MinimumReplicasUnavailable")
DONE = condition("Progressing", "True", "NewReplicaSetAvailable")
ROLLING = condition("Progressing", "True", "ReplicaSetUpdated")
STUCK = condition("Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "api-2" has timed out progressing.')
REFUSED = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")


@pytest.mark.parametrize(
    ("wanted", "available", "conditions", "more", "status", "message"),
    [
        (4, 4, [AVAILABLE, DONE], {}, HEALTHY, "4 of 4 available"),
        (4, 3, [AVAILABLE, DONE], {}, DEGRADED, "3 of 4 pods are available"),
        (4, 3, [AVAILABLE, ROLLING], {}, HEALTHY, "3 of 4 available"),
        (4, 2, [LACKING, ROLLING], {}, UNHEALTHY, "2 of 4 pods are available"),
        (4, 2, [LACKING, DONE], {"at_least": 2}, DEGRADED, "2 of 4 pods are available"),
        (4, 3, [AVAILABLE, DONE], {"at_least": 4}, UNHEALTHY, "3 of 4 pods are available, at least 4 should be"),
        (
            4,
            4,
            [AVAILABLE, STUCK],
            {},
            DEGRADED,
            'its rollout is stuck: ReplicaSet "api-2" has timed out progressing.',
        ),
        (
            4,
            3,
            [AVAILABLE, ROLLING, REFUSED],
            {},
            DEGRADED,
            "no pod can be made: FailedCreate: exceeded quota",
        ),
        (
            0,
            0,
            [AVAILABLE, DONE],
            {},
            UNHEALTHY,
            "it wants no pod at all: it is scaled to none, or no node is meant for it",
        ),
        (0, 0, [AVAILABLE, DONE], {"at_least": 0}, HEALTHY, "0 of 0 available"),
    ],
)
async def test_a_deployment(
    api: Api,
    tmp_path: Path,
    wanted: int,
    available: int,
    conditions: list[dict[str, str]],
    more: dict[str, int],
    status: Status,
    message: str,
) -> None:
    """Green is every pod available, or a rollout that its strategy allows to be on its way."""
    put(api, DEPLOYMENT, {"replicas": wanted}, *conditions, **({"availableReplicas": available} if available else {}))
    result = await looked(api, tmp_path, deployment="api", **more)
    assert (result.status, result.message) == (status, message)
    assert result.kind is (None if status is HEALTHY else THRESHOLD)


async def test_a_deployment_that_controllers_move(api: Api, tmp_path: Path) -> None:
    """From the pods of its first version to a new one; and a change that nobody has seen yet is not healthy."""
    template = {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": "shop:1"}]}}
    api.put(DEPLOYMENT, {"spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": template}})
    result = await looked(api, tmp_path, deployment="api", at_least=0)
    assert (result.status, result.kind) == (DEGRADED, THRESHOLD)
    assert "its controller has not seen the last change" in result.message
    async with kubernetes_controllers.running(api):
        await until(lambda: api.get(DEPLOYMENT).get("status", {}).get("availableReplicas") == 2, "both are available")
        result = await looked(api, tmp_path, deployment="api")
    assert (result.status, result.message) == (HEALTHY, "2 of 2 available")
    assert {each.name: each.value for each in result.measures} == {"wanted": 2, "available": 2, "updated": 2}


@pytest.mark.parametrize(
    ("available", "more", "status", "message"),
    [
        (3, {}, HEALTHY, "3 of 3 available"),
        (1, {}, DEGRADED, "1 of 3 pods are available"),
        (0, {}, UNHEALTHY, "0 of 3 pods are available"),
        (1, {"at_least": 2}, UNHEALTHY, "1 of 3 pods are available, at least 2 should be"),
    ],
)
async def test_other_workloads(
    api: Api, tmp_path: Path, available: int, more: dict[str, int], status: Status, message: str
) -> None:
    """A StatefulSet's and a DaemonSet's."""
    below = "/apis/apps/v1/namespaces/shop"
    put(api, f"{below}/statefulsets/db", {"replicas": 3}, availableReplicas=available)
    put(api, f"{below}/daemonsets/logs", {}, desiredNumberScheduled=3, numberAvailable=available)
    for named in ({"statefulset": "db"}, {"daemonset": "logs"}):
        result = await looked(api, tmp_path, **named, **more)
        assert (result.status, result.message) == (status, message)


READY, GONE = condition("Ready", "True"), condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting")


@pytest.mark.parametrize(
    ("conditions", "spec", "status", "kind", "message"),
    [
        ([READY, condition("DiskPressure", "False")], {}, HEALTHY, None, "a is ready"),
        ([READY], {"unschedulable": True}, HEALTHY, None, "a is ready, and cordoned: no new pod comes to it"),
        ([READY, condition("DiskPressure", "True")], {}, DEGRADED, FailureKind.EXHAUSTED, "a has DiskPressure"),
        ([GONE], {}, UNHEALTHY, THRESHOLD, "a is not ready: Kubelet stopped posting"),
        ([], {}, UNHEALTHY, THRESHOLD, "a is not ready: no condition"),
    ],
)
async def test_a_node(
    api: Api,
    tmp_path: Path,
    conditions: list[dict[str, str]],
    spec: dict[str, Any],
    status: Status,
    kind: FailureKind | None,
    message: str,
) -> None:
    api.put("/api/v1/nodes/a", {"spec": spec, "status": {"conditions": conditions}})
    result = await looked(api, tmp_path, node="a")
    assert (result.status, result.kind, result.message) == (status, kind, message)


async def test_nodes(api: Api, tmp_path: Path) -> None:
    """By labels: one that is missing is the matter of a few pods, until too few are left."""
    for name, zone, ready in (("a", "1", READY), ("b", "1", GONE), ("c", "2", GONE)):
        labels = {"topology.kubernetes.io/zone": zone}
        api.put(
            f"/api/v1/nodes/{name}", {"metadata": {"labels": labels}, "spec": {}, "status": {"conditions": [ready]}}
        )
    first = {"topology.kubernetes.io/zone": "1"}
    result = await looked(api, tmp_path, nodes=first)
    assert (result.status, result.message) == (DEGRADED, "b is not ready: Kubelet stopped posting")
    result = await looked(api, tmp_path, nodes=first, at_least=2)
    assert (result.status, result.observed) == (UNHEALTHY, {"nodes": 2, "ready": 1})
    assert "1 of 2 nodes are ready, at least 2 should be" in result.message
    assert (await looked(api, tmp_path, nodes={})).observed == {"nodes": 3, "ready": 1}
    full = [READY, condition("DiskPressure", "True")]
    api.put("/api/v1/nodes/d", {"metadata": {"labels": {"disk": "small"}}, "spec": {}, "status": {"conditions": full}})
    result = await looked(api, tmp_path, nodes={"disk": "small"})
    assert (result.status, result.kind, result.message) == (DEGRADED, FailureKind.EXHAUSTED, "d has DiskPressure")
    result = await looked(api, tmp_path, nodes={"topology.kubernetes.io/zone": "9"})
    assert (result.status, result.message) == (UNHEALTHY, "0 of 0 nodes are ready, at least 1 should be")


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("spec", "more", "status", "message"),
    [
        (
            {},
            {"lastSuccessfulTime": {"hours": 2}, "lastScheduleTime": {"hours": 3}},
            HEALTHY,
            "the last success was 2h",
        ),
        (
            {},
            {"lastSuccessfulTime": {"hours": 26}, "lastScheduleTime": {"hours": 1}, "active": [{"name": "x"}]},
            UNHEALTHY,
            "the last success was 1d2h",
        ),
        (
            {},
            {"lastSuccessfulTime": {"hours": 2}, "lastScheduleTime": {"hours": 1}},
            DEGRADED,
            "its run of ",
        ),
        (
            {},
            {"lastSuccessfulTime": {"hours": 2}, "lastScheduleTime": {"hours": 1}, "active": [{"name": "x"}]},
            HEALTHY,
            "the last success was 2h",
        ),
        ({"suspend": True}, {"lastSuccessfulTime": {"hours": 2}}, DEGRADED, "it is suspended"),
        ({}, {}, HEALTHY, "it has never succeeded; it was made 1h"),
    ],
)
async def test_a_cron_job(
    api: Api, tmp_path: Path, spec: dict[str, Any], more: dict[str, Any], status: Status, message: str
) -> None:
    """Green is a success that is young enough, and no failure since."""
    moments = {key: ago(**value) if isinstance(value, dict) else value for key, value in more.items()}
    made = {"metadata": {"creationTimestamp": ago(hours=1)}}
    api.put("/apis/batch/v1/namespaces/shop/cronjobs/backup", {**made, "spec": spec, "status": moments})
    result = await looked(api, tmp_path, cronjob="backup", max_age="25h")
    assert (result.status, result.message.startswith(message)) == (status, True), result.message


async def test_refusals(api: Api, tmp_path: Path) -> None:
    """Each by the right that is missing, or the thing."""
    async with watched("kubernetes", **options(api, tmp_path, deployment="api")) as check:
        result = await check.finds(UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.message == "there is no Deployment shop/api"
        api.denied = {"GET"}
        result = await check.finds(DEGRADED, FailureKind.PERMISSION)
        assert 'cannot get resource "deployments" in API group "apps" in the namespace "shop"' in result.message
        api.denied = set()
        api.unserved = {"apps/v1"}
        await check.finds(UNHEALTHY, FailureKind.MISCONFIGURED)
        api.away = Answer(503, body="apiserver is shutting down")
        await check.finds(UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        api.away = Answer(200, body="<html>")
        await check.finds(UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        api.away = Answer(200, json={"spec": []})
        await check.finds(UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    api.away, api.denied = None, {"GET"}
    assert "at the cluster scope" in (await looked(api, tmp_path, nodes={})).message


async def test_a_token_that_was_renewed(api: Api, tmp_path: Path) -> None:
    """Is read again: a pod's lives for an hour."""
    put(api, DEPLOYMENT, {"replicas": 1}, AVAILABLE, DONE, availableReplicas=1)
    async with watched("kubernetes", **options(api, tmp_path, deployment="api")) as check:
        await check.finds(HEALTHY)
        api.token = "another"
        await check.finds(UNHEALTHY, FailureKind.AUTH)
        file = tmp_path / "kubeconfig"
        file.write_text(file.read_text().replace(kubernetes.TOKEN, "another"))
        await check.finds(HEALTHY)


async def test_no_way_to_a_cluster(api: Api, tmp_path: Path) -> None:
    """Refused, silent, and without a kubeconfig."""
    file = api.kubeconfig(tmp_path)
    given = file.read_text()
    file.write_text(given.replace(api.url, f"https://127.0.0.1:{ports.free_port()}"))
    named = {"kubeconfig": str(file), "deployment": "api"}
    async with watched("kubernetes", **named) as check:
        await check.finds(UNHEALTHY, FailureKind.CONNECT)
    with tcp.silent() as listener:
        file.write_text(given.replace(api.url, f"https://127.0.0.1:{listener.port}"))
        async with watched("kubernetes", **named, timeout="1s") as check:
            began = time.monotonic()
            await check.gives_up()
            assert time.monotonic() - began < 60
    async with watched("kubernetes", kubeconfig=str(tmp_path / "none"), deployment="api") as check:
        await check.finds(UNHEALTHY, FailureKind.MISCONFIGURED)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({}, "give one of deployment, statefulset, daemonset, cronjob, node and nodes"),
        ({"deployment": "a", "node": "b"}, "give one of"),
        ({"cronjob": "a"}, "cronjob and max_age go together"),
        ({"deployment": "a", "max_age": "1h"}, "cronjob and max_age go together"),
        ({"node": "a", "at_least": 1}, "at_least is no option of a node"),
    ],
)
def test_bad_options(named: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KubernetesConfig.model_validate(named)
