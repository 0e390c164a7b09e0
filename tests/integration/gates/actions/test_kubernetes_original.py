"""The Kubernetes action and the manifests at a real API server, where HEALTHD_TEST_KUBECONFIG leads to one.

Take a cluster of your own: the namespaces `healthd` and `shop` are made there, and stay. No pod is needed, since
nothing has replicas.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from healthd_gates.actions.contract import ActionConfig, Ending
from tests.integration.gates.actions.ordering import configured, described, examined, order, tried
from tests.integration.gates.actions.test_kubernetes import template
from tests.servers.programs import require
from tests.servers.waiting import until
from tests.unit.shipped.kubernetes.cluster import built
from tests.unit.shipped.kubernetes.pods import pods_of
from tests.unit.shipped.kubernetes.test_manifests import PLACES

KUBECONFIG = os.environ.get("HEALTHD_TEST_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="HEALTHD_TEST_KUBECONFIG leads to no cluster")
KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
OPERATOR = "monitoring.coreos.com"


def kubectl(*words: str, given: Any = None) -> str:
    """What it says. Raises AssertionError with its error."""
    command: list[str | Path] = [require("kubectl"), "--kubeconfig", KUBECONFIG, *words]
    done = subprocess.run(
        command, input=None if given is None else json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(*objects: dict[str, Any], dry: bool = False) -> None:
    """Server-side, with every field known."""
    mode = ["--dry-run=server"] if dry else []
    options = ["--server-side", "--validate=strict", "--force-conflicts", "--field-manager=healthd-tests", *mode]
    kubectl("apply", *options, "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})


def namespaced(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"healthd-{uuid4().hex[:8]}"
    apply(namespaced(name))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("place", PLACES)
def test_it_takes_every_manifest(place: str) -> None:
    """And a pod of every template."""
    apply(namespaced("healthd"), namespaced("shop"))
    objects = [each for each in built(place) if not each["apiVersion"].startswith(OPERATOR)]
    apply(*objects, dry=True)
    for pod in pods_of(objects):
        pod["spec"].pop("serviceAccountName", None)  # is only there once the manifests are
        apply(pod, dry=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_workload_goes_back_by_its_real_history(namespace: str, kind: str) -> None:
    """Past a second try at the candidate; and again, which finds it done."""
    named = {"serviceName": "api"} if kind == "statefulset" else {}
    scaled: dict[str, Any] = {} if kind == "daemonset" else {"replicas": 0}
    for version in ("0.9", "1.0", "2.0-rc", "2.0"):
        pods = template(version)
        if kind == "daemonset":
            pods["spec"]["nodeSelector"] = {"healthd.example.com/nowhere": "true"}
        spec = {"selector": {"matchLabels": {"app": "api"}}, "template": pods, **named, **scaled}
        metadata = {"name": "api", "namespace": namespace}
        apply({"apiVersion": "apps/v1", "kind": KINDS[kind], "metadata": metadata, "spec": spec})
        await until(lambda: is_seen(kind, namespace), f"{kind} {version} is seen")
    config: ActionConfig = configured(
        kind="kubernetes", namespace=namespace, kubeconfig=str(Path(KUBECONFIG).absolute()), **{kind: "api"}
    )
    assert (await examined(config)).ending is Ending.DONE
    assert "would go back to revision 2 (1.0)" in await described(config, order())
    outcome = await tried(config, order())
    assert (outcome.ending, "did go back to revision 2 (1.0)" in outcome.detail) == (Ending.DONE, True), outcome.detail
    again = await tried(config, order(key="4567:rollback:back"))
    assert (again.ending, "it runs 1.0 already" in again.detail) == (Ending.DONE, True), again.detail


def is_seen(kind: str, namespace: str) -> bool:
    found = json.loads(kubectl("get", kind, "api", "-n", namespace, "-o", "json"))
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])
