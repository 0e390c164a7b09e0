"""The Kubernetes action on StatefulSets and DaemonSets, whose history is one of ControllerRevisions."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import Ending
from healthd_gates.domain.request import Version
from tests.integration.gates.actions.ordering import Hurried, described, order, tried
from tests.integration.gates.actions.test_kubernetes import action, template
from tests.servers import kubernetes
from tests.servers.kubernetes import Api
from tests.servers.kubernetes_revisions import Revisions

KINDS = {"statefulset": "StatefulSet", "daemonset": "DaemonSet"}
LATEST = {"updateStrategy": {"type": "OnDelete"}}
KEPT = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A cluster whose controllers take a step ahead of each call."""
    async with kubernetes.running() as running:
        yield running


@pytest.fixture
def controllers(api: Api) -> Revisions:
    controllers = Revisions(api)
    api.before_answer = controllers.act
    return controllers


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    return api.kubeconfig(tmp_path)


def path_of(kind: str) -> str:
    return f"/apis/apps/v1/namespaces/shop/{kind}s/api"


def put(api: Api, kind: str, version: str, **spec: Any) -> None:
    """A workload with three pods, which somebody has given a version."""
    named = {"serviceName": "api"} if kind == "statefulset" else {}
    body = {"selector": {"matchLabels": {"app": "api"}}, "replicas": 3, "template": template(version), **named, **spec}
    before = api.get(path_of(kind)) if path_of(kind) in api.paths(f"{kind}s") else {}
    api.put(path_of(kind), {**before, "spec": body})


def come_through(api: Api, controllers: Revisions, kind: str, *versions: str, **spec: Any) -> None:
    """Each version, with all its pods, or as many as come up."""
    for version in versions:
        put(api, kind, version, **spec)
        for _ in range(5):
            controllers.act()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_goes_back_to_the_baselines_revision(
    api: Api, controllers: Revisions, kubeconfig: Path, kind: str
) -> None:
    """Once its pods are there, and not just to the revision before; whoever tries it again finds it done."""
    come_through(api, controllers, kind, "0.9", "1.0", "2.0-rc", "2.0")
    config = action(kubeconfig, **{kind: "api"})
    assert await described(config, order()) == f"{KINDS[kind]} shop/api: would go back to revision 2 (1.0)"
    outcome = await tried(config, order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, f"{KINDS[kind]} shop/api: did go back to revision 2 (1.0)")
    after = api.get(path_of(kind))
    assert after["spec"]["template"] == template("1.0"), "without the `$patch` of the revision"
    assert after["metadata"]["annotations"]["healthd/rolled-back"] == order().key
    again = await tried(config, order(key="4567:rollback:back"))
    assert (again.ending, "it runs 1.0 already" in again.detail, len(api.patches)) == (Ending.DONE, True, 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_revision_that_was_used_again_has_a_new_number(
    api: Api, controllers: Revisions, kubeconfig: Path, kind: str
) -> None:
    """1.0, 2.0, 1.0 by hand, 2.0 by hand: there is one revision of each, and the present one is the highest."""
    come_through(api, controllers, kind, "1.0", "2.0", "1.0", "2.0")
    outcome = await tried(action(kubeconfig, **{kind: "api"}), order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, f"{KINDS[kind]} shop/api: did go back to revision 3 (1.0)")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_cannot_go_back_says_why(api: Api, controllers: Revisions, kubeconfig: Path, kind: str) -> None:
    """Nothing earlier, or something else by somebody else: it is left as it is."""
    come_through(api, controllers, kind, "2.0")
    config = action(kubeconfig, **{kind: "api"})
    outcome = await tried(config, order())
    assert (outcome.ending, "no earlier revision" in outcome.detail) == (Ending.NO_BASELINE, True)
    come_through(api, controllers, kind, "3.0")
    outcome = await tried(config, order())
    assert (outcome.ending, "its pods are 3.0, not 2.0" in outcome.detail) == (Ending.REFUSED, True)
    assert not api.patches


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (LATEST, "3 pods are older: by its strategy OnDelete somebody must delete them"),
        (KEPT, "its partition of 2 keeps 2 pods as they are: set it to 0"),
    ],
)
async def test_pods_that_stay_by_its_strategy_are_told(
    api: Api, controllers: Revisions, kubeconfig: Path, spec: dict[str, Any], says: str
) -> None:
    """The template has gone back; what is left is for a person, who hears of it at once."""
    come_through(api, controllers, "statefulset", "1.0", "2.0")
    put(api, "statefulset", "2.0", **spec)
    outcome = await tried(action(kubeconfig, statefulset="api"), order())
    assert (outcome.ending, says in outcome.detail) == (Ending.REFUSED, True), outcome.detail
    assert api.get(path_of("statefulset"))["spec"]["template"] == template("1.0")


async def test_a_canary_by_partition_goes_back(api: Api, controllers: Revisions, kubeconfig: Path) -> None:
    """Its partition keeps the pods of the baseline, and nobody is called."""
    come_through(api, controllers, "statefulset", "1.0")
    come_through(api, controllers, "statefulset", "2.0", **KEPT)
    assert api.get(path_of("statefulset"))["status"]["updatedReplicas"] == 1
    outcome = await tried(action(kubeconfig, statefulset="api"), order())
    assert outcome.ending is Ending.DONE, outcome.detail


async def test_a_pod_of_the_candidate_that_holds_up_the_others_is_told(
    api: Api, controllers: Revisions, kubeconfig: Path
) -> None:
    """The controller waits for it to become ready, which it never will."""
    come_through(api, controllers, "statefulset", "1.0", "2.0-bad")
    candidate = order(Version(version="2.0-bad", target="green"))
    outcome = await tried(action(kubeconfig, statefulset="api"), candidate, clock=Hurried())
    assert outcome.ending is Ending.RETRY
    assert "2 of 3 pods are new; should a pod of the version before not come up, delete it" in outcome.detail
