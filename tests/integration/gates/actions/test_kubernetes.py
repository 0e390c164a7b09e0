"""The Kubernetes action against an API of the tests' own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from healthd_gates import sources
from healthd_gates.actions.contract import ActionConfig, Ending
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import ArmError
from healthd_gates.store import tables
from tests.fakes.gates import config, replica, request
from tests.integration.gates.actions.ordering import Hurried, configured, described, examined, order, tried
from tests.servers import kubernetes, kubernetes_controllers, peers
from tests.servers.kubernetes import Api
from tests.servers.waiting import until

SERVICE = "/api/v1/namespaces/shop/services/api"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/api"
REPLICA_SETS = "/apis/apps/v1/namespaces/shop/replicasets"
ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/api"
REVISION = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION = "rollout.argoproj.io/revision"
CAUSE, APPLIED = "kubernetes.io/change-cause", "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A cluster whose controllers act."""
    async with kubernetes.running() as running, kubernetes_controllers.running(running):
        yield running


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    return api.kubeconfig(tmp_path)


def action(kubeconfig: Path, **named: Any) -> ActionConfig:
    return configured(kind="kubernetes", namespace="shop", kubeconfig=str(kubeconfig), **named)


def service(kubeconfig: Path) -> ActionConfig:
    return action(kubeconfig, service="api", selector={"color": "$target"})


def put_service(api: Api, color: str, *ready: str) -> None:
    """A Service that selects a color, and pods of others that are ready."""
    api.put(SERVICE, {"spec": {"selector": {"app": "api", "color": color}, "ports": [{"port": 80}]}})
    for pod in ready:
        conditions = [{"type": "Ready", "status": "True"}]
        labels = {"app": "api", "color": pod}
        body = {"metadata": {"labels": labels}, "status": {"conditions": conditions}}
        api.put(f"/api/v1/namespaces/shop/pods/api-{pod}", body)


def template(version: str, *, labelled: bool = True) -> dict[str, Any]:
    labels = {"app": "api", **({"app.kubernetes.io/version": version} if labelled else {})}
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": f"shop/api:{version}"}]}}


def put_revisions(
    api: Api, *versions: str, path: str = DEPLOYMENT, revision: str = REVISION, labelled: bool = True, **spec: Any
) -> None:
    """A workload that has come through these versions, of which the last one runs."""
    selector = {"matchLabels": {"app": "api"}}
    numbered = {revision: str(len(versions))}
    body = {"selector": selector, "template": template(versions[-1], labelled=labelled), **spec}
    api.put(path, {"metadata": {"annotations": numbered}, "spec": body})
    for number, version in enumerate(versions, 1):
        pods = template(version, labelled=labelled)
        pods["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
        metadata = {
            "labels": {"app": "api"},
            "annotations": {revision: str(number)},
            "ownerReferences": [{"uid": path}],
        }
        api.put(
            f"/apis/apps/v1/namespaces/shop/replicasets/api-h{number}",
            {"metadata": metadata, "spec": {"template": pods}},
        )


async def test_a_service_selects_the_baseline_again(api: Api, kubeconfig: Path) -> None:
    """Its other labels stay; and once it does, nothing is done."""
    put_service(api, "green", "blue", "green")
    outcome = await tried(service(kubeconfig), order())
    assert (outcome.ending, outcome.seen) == (Ending.DONE, True)
    assert outcome.detail == "Service shop/api: did select color=blue instead of color=green"
    assert api.get(SERVICE)["spec"] == {"selector": {"app": "api", "color": "blue"}, "ports": [{"port": 80}]}
    again = await tried(service(kubeconfig), order())
    assert (again.ending, len(api.patches)) == (Ending.DONE, 1)


@pytest.mark.parametrize("pods", [0, 2])
async def test_no_traffic_is_seen_at_a_deployment_without_pods(api: Api, kubeconfig: Path, pods: int) -> None:
    """Somebody has scaled it down meanwhile: that it has the baseline's template shows nothing of the traffic."""
    put_revisions(api, "2.0", "1.0", replicas=pods)
    number = api.get(DEPLOYMENT)["metadata"].get("generation", 0)
    has = {"replicas": pods, "updatedReplicas": pods, "availableReplicas": pods, "observedGeneration": number}
    api.put(DEPLOYMENT, {**api.get(DEPLOYMENT), "status": has})
    outcome = await tried(action(kubeconfig, deployment="api"), order())
    assert (outcome.ending, outcome.seen) == (Ending.DONE, pods > 0), outcome


async def test_a_service_is_not_pointed_at_nothing(api: Api, kubeconfig: Path) -> None:
    """No pod with the baseline's labels is ready."""
    put_service(api, "green", "green")
    outcome = await tried(service(kubeconfig), order())
    assert outcome.ending is Ending.NO_BASELINE
    assert outcome.detail == "Service shop/api: no pod with color=blue is ready"
    assert not api.patches


async def test_a_service_that_somebody_changed_is_left_alone(api: Api, kubeconfig: Path) -> None:
    """It selects neither the candidate nor the baseline."""
    put_service(api, "yellow", "blue", "yellow")
    outcome = await tried(service(kubeconfig), order())
    assert outcome.ending is Ending.REFUSED
    assert not api.patches


async def test_a_change_between_reading_and_writing_is_not_overwritten(api: Api, kubeconfig: Path) -> None:
    """It is read again, and left alone where somebody wants something else."""
    put_service(api, "green", "blue", "green")
    api.before_patch = lambda: put_service(api, "yellow", "blue", "yellow")
    outcome = await tried(service(kubeconfig), order())
    assert (outcome.ending, "color=yellow, not the candidate" in outcome.detail) == (Ending.REFUSED, True)
    assert api.get(SERVICE)["spec"]["selector"]["color"] == "yellow"
    put_revisions(api, "1.0", "2.0")
    api.before_patch = lambda: put_revisions(api, "1.0", "3.0")
    outcome = await tried(action(kubeconfig, deployment="api"), order())
    assert (outcome.ending, "its pods are 3.0, not 2.0" in outcome.detail) == (Ending.REFUSED, True)
    assert api.get(DEPLOYMENT)["spec"]["template"] == template("3.0")


async def test_an_object_that_is_written_all_the_time_is_changed_all_the_same(api: Api, kubeconfig: Path) -> None:
    """By controllers, in the midst of a rollout; and one that never holds still is told, and tried again."""
    put_service(api, "green", "blue", "green")
    writes = iter(range(2))

    def note() -> None:
        found = api.get(SERVICE)
        if (number := next(writes, None)) is not None:
            api.put(SERVICE, {**found, "metadata": {**found["metadata"], "annotations": {"seen": str(number)}}})

    api.before_patch = note
    assert (await tried(service(kubeconfig), order())).ending is Ending.DONE
    put_service(api, "green", "blue", "green")
    writes = iter(range(10_000))
    outcome = await tried(service(kubeconfig), order(), clock=Hurried())
    assert (outcome.ending, "it was changed meanwhile" in outcome.detail) == (Ending.RETRY, True)


async def test_the_revisions_of_another_workload_tell_nothing(api: Api, kubeconfig: Path) -> None:
    """Its labels match, its container had the candidate's tag, and it is nobody's business here."""
    put_revisions(api, "1.0", "2.0", labelled=False)
    pods = template("2.0", labelled=False)
    pods["spec"]["containers"] = [{"name": "worker", "image": "shop/worker:2.0"}]
    metadata = {"labels": {"app": "api"}, "annotations": {REVISION: "1"}, "ownerReferences": [{"uid": "another"}]}
    api.put(f"{REPLICA_SETS}/worker-h1", {"metadata": metadata, "spec": {"template": pods}})
    outcome = await tried(action(kubeconfig, deployment="api"), order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, "Deployment shop/api: did go back to revision 1 (1.0)")


@pytest.mark.parametrize("labelled", [True, False], ids=["by label", "by image"])
async def test_a_deployment_goes_back_to_the_baselines_revision(api: Api, kubeconfig: Path, labelled: bool) -> None:
    """Not just to the one before, which may be another try at the candidate; the pods' hash is left to Kubernetes."""
    put_revisions(api, "0.9", "1.0", "2.0-rc", "2.0", labelled=labelled)
    outcome = await tried(action(kubeconfig, deployment="api"), order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, "Deployment shop/api: did go back to revision 2 (1.0)")
    after = api.get(DEPLOYMENT)
    assert after["spec"]["template"] == template("1.0", labelled=labelled)
    assert after["metadata"]["annotations"]["healthd/rolled-back"] == order().key
    assert after["spec"]["selector"] == {"matchLabels": {"app": "api"}}
    assert after["status"]["availableReplicas"] == 1


@pytest.mark.parametrize(("owner", "baseline"), [("2", "3"), ("2", "2")], ids=["newer", "older"])
async def test_a_history_of_another_moment_than_the_deployment(tmp_path: Path, owner: str, baseline: str) -> None:
    """The controller has numbered the ReplicaSets and not the Deployment yet, or neither: somebody has just gone back,
    or the candidate has just come. The baseline is found all the same, and nothing older comes back in its place."""
    async with kubernetes.running() as api:  # no controller acts
        put_revisions(api, "0.9", "1.0", "2.0")
        found = api.get(DEPLOYMENT)
        api.put(DEPLOYMENT, {**found, "metadata": {**found["metadata"], "annotations": {REVISION: owner}}})
        path = f"{REPLICA_SETS}/api-h2"
        old = api.get(path)
        api.put(path, {**old, "metadata": {**old["metadata"], "annotations": {REVISION: baseline}}})
        api.remove(f"{REPLICA_SETS}/api-h3")
        told = await described(action(api.kubeconfig(tmp_path), deployment="api"), order())
        assert told == f"Deployment shop/api: would go back to revision {baseline} (1.0)"


async def test_a_deployment_is_not_rolled_back_twice(api: Api, kubeconfig: Path) -> None:
    """After a crash between the change and its being stored, or when a person was faster: an undo of the undo would
    bring the candidate back."""
    put_revisions(api, "1.0", "2.0")
    config = action(kubeconfig, deployment="api")
    await tried(config, order())
    assert (await tried(config, order())).ending is Ending.DONE
    assert len(api.patches) == 1
    put_revisions(api, "1.0", "2.0", "1.0")
    by_hand = await tried(config, order(key="4567:rollback:back"))
    assert (by_hand.ending, by_hand.detail) == (Ending.DONE, "Deployment shop/api: nothing to do: it runs 1.0 already")


@pytest.mark.parametrize(
    ("versions", "spec", "ending", "detail"),
    [
        (("2.0",), {}, Ending.NO_BASELINE, "no earlier revision without the candidate"),
        (("2.0", "2.0"), {}, Ending.NO_BASELINE, "no earlier revision without the candidate"),
        (("1.0", "2.0"), {"paused": True}, Ending.RETRY, "it is paused"),
        (("1.0", "3.0"), {}, Ending.REFUSED, "its pods are 3.0, not 2.0"),
    ],
)
async def test_a_deployment_that_cannot_be_rolled_back(
    api: Api, kubeconfig: Path, versions: tuple[str, ...], spec: dict[str, Any], ending: Ending, detail: str
) -> None:
    """It is left as it is, with the reason."""
    put_revisions(api, *versions, **spec)
    outcome = await tried(action(kubeconfig, deployment="api"), order())
    assert outcome.ending is ending
    assert detail in outcome.detail
    assert not api.patches


def put_rollout(api: Api, strategy: str, *, promoted: bool) -> None:
    """1.0 and then 2.0, which the controller has seen, and which stands at its first step or has all of the traffic."""
    strategies = {
        "canary": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
        "blueGreen": {"blueGreen": {"activeService": "api", "autoPromotionEnabled": False}},
    }
    put_revisions(api, "1.0", "2.0", path=ROLLOUT, revision=ROLLOUT_REVISION, strategy=strategies[strategy])
    stable = "h2" if promoted else "h1"
    rollout = api.get(ROLLOUT)
    seen = {"observedGeneration": str(rollout["metadata"]["generation"])}
    status = {"stableRS": stable, "currentPodHash": "h2", "blueGreen": {"activeSelector": stable}, **seen}
    api.put(ROLLOUT, {**rollout, "status": status})


@pytest.mark.parametrize("strategy", ["canary", "blueGreen"])
async def test_a_rollout_is_aborted(api: Api, kubeconfig: Path, strategy: str) -> None:
    """Once; and done when the controller has done it."""
    put_rollout(api, strategy, promoted=False)
    config = action(kubeconfig, rollout="api")
    assert (await tried(config, order())).detail == "Rollout shop/api: did abort it"
    status = api.get(ROLLOUT)["status"]
    assert (status["abort"], status["phase"], status.get("updatedReplicas", 0)) == (True, "Degraded", 0)
    assert (await tried(config, order())).detail == "Rollout shop/api: nothing to do: it is aborted already"
    ((path, change),) = api.patches
    assert (path, change["status"]) == (f"{ROLLOUT}/status", {"abort": True})


@pytest.mark.parametrize("strategy", ["canary", "blueGreen"])
async def test_a_rollout_that_is_promoted_is_undone_and_promoted_in_full(
    api: Api, kubeconfig: Path, strategy: str
) -> None:
    """An undone template alone would be a new rollout, that waits at its first pause for ever with the candidate
    beside it, or with the candidate behind the active Service."""
    put_rollout(api, strategy, promoted=True)
    config = action(kubeconfig, rollout="api")
    outcome = await tried(config, order())
    assert outcome.ending is Ending.DONE
    assert outcome.detail == "Rollout shop/api: did go back to revision 1 (1.0) and promote it in full"
    after = api.get(ROLLOUT)
    assert after["spec"]["template"] == template("1.0")
    assert (after["status"]["stableRS"], after["status"]["phase"]) == ("h1", "Healthy")
    assert (await tried(config, order())).detail == "Rollout shop/api: nothing to do: it runs 1.0 already"


async def test_a_rollout_that_somebody_undid_is_promoted_in_full(api: Api, kubeconfig: Path) -> None:
    """It stands at its first pause: its template says that it is at the baseline, and half of its pods do not."""
    put_rollout(api, "canary", promoted=True)
    undone = api.get(ROLLOUT)
    api.put(ROLLOUT, {**undone, "spec": {**undone["spec"], "template": template("1.0")}})
    outcome = await tried(action(kubeconfig, rollout="api"), order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, "Rollout shop/api: did promote 1.0 in full")


async def test_where_argo_rollouts_is_not_installed_it_says_so(api: Api, kubeconfig: Path) -> None:
    """The API server answers for what it does not know at all in plain text."""
    api.unserved.add("argoproj.io/v1alpha1")
    outcome = await tried(action(kubeconfig, rollout="api"), order())
    assert outcome.ending is Ending.REFUSED
    assert "404 page not found: the cluster does not know this kind of object" in outcome.detail


async def test_pods_that_do_not_come_back_are_waited_for_and_told(kubeconfig: Path, api: Api) -> None:
    """A template that was changed is a wish: nobody acts on it here, and the try ends by telling how far it is."""
    async with kubernetes.running() as idle:
        put_revisions(idle, "1.0", "2.0")
        config = action(idle.kubeconfig(kubeconfig.parent), deployment="api")
        first, second = [await tried(config, order(), clock=Hurried()) for _ in range(2)]
    assert (first.ending, second.ending) == (Ending.RETRY, Ending.RETRY)
    waits = "it goes back to 1.0: the cluster has not seen the change yet"
    assert first.detail == f"Deployment shop/api: did go back to revision 1 (1.0); {waits}"
    assert second.detail == f"Deployment shop/api: {waits}"
    assert len(idle.patches) == 1


async def test_a_baseline_whose_pods_do_not_come_up_is_told(tmp_path: Path) -> None:
    """Past its deadline nothing more is to be waited for: a person must look."""

    async def only_the_candidate(_name: str, image: str, _replicas: int) -> bool:
        return image.endswith("2.0")

    async with kubernetes.running() as api, kubernetes_controllers.running(api, only_the_candidate):
        put_revisions(api, "1.0", "2.0")
        await until(lambda: "status" in api.get(DEPLOYMENT), "the candidate's pods")
        outcome = await tried(action(api.kubeconfig(tmp_path), deployment="api"), order())
    assert outcome.ending is Ending.REFUSED
    assert "1 old pods are still there; ReplicaSet has timed out progressing" in outcome.detail


async def test_the_history_stays_true(api: Api, kubeconfig: Path) -> None:
    """The annotations come back with the revision, as with `kubectl rollout undo`; those of the tools stay; and the
    change has a name that the next server-side apply can tell."""
    put_revisions(api, "1.0", "2.0")
    await until(lambda: "status" in api.get(DEPLOYMENT), "the controller has seen it")
    for path, cause in (
        (f"{REPLICA_SETS}/api-h1", "deploy 1.0"),
        (f"{REPLICA_SETS}/api-h2", "deploy 2.0"),
        (DEPLOYMENT, "deploy 2.0"),
    ):
        found = api.get(path)
        annotations = {**found["metadata"]["annotations"], CAUSE: cause, APPLIED: f"of {path}"}
        api.put(path, {**found, "metadata": {**found["metadata"], "annotations": annotations}})
    assert (await tried(action(kubeconfig, deployment="api"), order())).ending is Ending.DONE
    after = api.get(DEPLOYMENT)["metadata"]
    assert after["annotations"][CAUSE] == "deploy 1.0"
    assert after["annotations"][APPLIED] == f"of {DEPLOYMENT}"
    assert [entry["manager"] for entry in after["managedFields"]] == ["healthd"]
    assert {call.headers["User-Agent"].partition("/")[0] for call in api.received} == {"healthd"}


async def test_a_candidate_that_was_set_again_is_told(api: Api, kubeconfig: Path) -> None:
    """By a tool that goes by its repository, as a rule: undone once more, it would set it once more."""
    put_revisions(api, "1.0", "2.0")
    config = action(kubeconfig, deployment="api")
    await tried(config, order())
    found = api.get(DEPLOYMENT)
    entry = {"manager": "argocd-controller", "time": "2999-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}}
    metadata = {**found["metadata"], "managedFields": [*found["metadata"]["managedFields"], entry]}
    api.put(DEPLOYMENT, {**found, "metadata": metadata, "spec": {**found["spec"], "template": template("2.0")}})
    outcome = await tried(config, order())
    assert outcome.ending is Ending.REFUSED
    assert "rolled back already, and argocd-controller (at 2999-01-01T00:00:00Z) set 2.0 again" in outcome.detail
    assert len(api.patches) == 1


@pytest.mark.parametrize(
    ("versions", "quarantined", "ending", "detail"),
    [
        (("1.8", "1.9", "2.0"), (), Ending.DONE, "did go back to revision 2 (1.9), since 1.0 is not in its history"),
        (("1.8", "1.9", "2.0"), ("1.9", "2.0"), Ending.DONE, "did go back to revision 1 (1.8), since 1.0 is not"),
        (("1.8", "1.9", "2.0"), ("1.8", "1.9"), Ending.NO_BASELINE, "in quarantine: 1.9, 1.8"),
        (("1.0", "1.9", "2.0"), ("1.9",), Ending.DONE, "did go back to revision 1 (1.0)"),
    ],
)
async def test_what_failed_a_gate_is_not_brought_back(
    api: Api, kubeconfig: Path, versions: tuple[str, ...], quarantined: tuple[str, ...], ending: Ending, detail: str
) -> None:
    """Where the baseline is not in the history, another one is brought back and named."""
    put_revisions(api, *versions)
    ordered = replace(order(), quarantined=frozenset(quarantined))
    outcome = await tried(action(kubeconfig, deployment="api"), ordered)
    assert (outcome.ending, detail in outcome.detail) == (ending, True), outcome.detail


async def test_a_dry_run_changes_nothing(api: Api, kubeconfig: Path) -> None:
    """It looks, and tells."""
    put_service(api, "green", "blue", "green")
    put_revisions(api, "1.0", "2.0")
    told = [await described(config, order()) for config in (service(kubeconfig), action(kubeconfig, deployment="api"))]
    assert told[0] == "Service shop/api: would select color=blue instead of color=green"
    assert told[1] == "Deployment shop/api: would go back to revision 1 (1.0)"
    assert not api.patches


async def test_what_the_cluster_says_no_with(api: Api, kubeconfig: Path, tmp_path: Path) -> None:
    """An object that is not there needs a person; rights and outages can be mended."""
    missing = await tried(action(kubeconfig, deployment="nothing"), order())
    assert (missing.ending, "answered 404" in missing.detail) == (Ending.REFUSED, True)
    wrong = tmp_path / "wrong"
    wrong.write_text(kubeconfig.read_text().replace(kubernetes.TOKEN, "another"))
    denied = await tried(action(wrong, deployment="api"), order())
    assert (denied.ending, "answered 401: Unauthorized" in denied.detail) == (Ending.RETRY, True)
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(kubeconfig.read_text().replace(api.url, "https://127.0.0.1:9"))
    assert (await tried(action(nowhere, deployment="api"), order())).ending is Ending.RETRY


async def test_a_dry_run_says_what_then_happens(api: Api, kubeconfig: Path) -> None:
    """Word for word, whatever the object; and once it is done, that nothing is to be done."""

    async def same(config: ActionConfig) -> None:
        for _ in range(2):
            told, outcome = await described(config, order()), await tried(config, order())
            assert outcome.ending is Ending.DONE
            assert outcome.detail == told.replace("would ", "did ")

    put_service(api, "green", "blue", "green")
    await same(service(kubeconfig))
    put_revisions(api, "1.0", "2.0")
    await same(action(kubeconfig, deployment="api"))
    put_rollout(api, "canary", promoted=False)
    await same(action(kubeconfig, rollout="api"))


async def test_rights_that_come_later_are_in_time(api: Api, kubeconfig: Path) -> None:
    """Who may read and not write learns so, and the next try after it was mended succeeds."""
    put_service(api, "green", "blue", "green")
    api.denied.add("PATCH")
    told, outcome = await described(service(kubeconfig), order()), await tried(service(kubeconfig), order())
    assert told == "Service shop/api: would select color=blue instead of color=green"
    assert (outcome.ending, 'User "tests" cannot patch resource "services"' in outcome.detail) == (Ending.RETRY, True)
    api.denied.clear()
    assert (await tried(service(kubeconfig), order())).ending is Ending.DONE


async def test_a_token_is_read_anew_at_every_try(api: Api, kubeconfig: Path, tmp_path: Path) -> None:
    """Those of service accounts change every hour."""
    put_service(api, "green", "blue", "green")
    file = tmp_path / "token"
    file.write_text("old")
    kubeconfig.write_text(kubeconfig.read_text().replace(f'"token": "{api.token}"', f'"tokenFile": "{file}"'))
    api.token = "new"
    refused = await tried(service(kubeconfig), order())
    assert (refused.ending, "answered 401" in refused.detail) == (Ending.RETRY, True)
    file.write_text("new\n")
    outcome = await tried(service(kubeconfig), order())
    assert outcome.ending is Ending.DONE, outcome.detail


@pytest.mark.parametrize("kind", ["service", "deployment", "rollout"])
async def test_an_action_can_be_tested(api: Api, kubeconfig: Path, kind: str) -> None:
    """By asking for one's rights, and for the object: nothing is changed, and what is missing is named."""
    config = service(kubeconfig) if kind == "service" else action(kubeconfig, **{kind: "api"})
    gone = await examined(config)
    assert (gone.ending, '"api" not found' in gone.detail) == (Ending.REFUSED, True)
    put_service(api, "green", "blue")
    put_revisions(api, "1.0", "2.0")
    put_rollout(api, "canary", promoted=False)
    assert (await examined(config)).ending is Ending.DONE
    api.denied.add("PATCH")
    denied = await examined(config)
    assert denied.ending is Ending.REFUSED
    assert f"may not patch {kind}s api" in denied.detail
    assert "in namespace shop" in denied.detail
    assert not api.patches


async def test_no_gate_starts_whose_rollback_lacks_a_right(
    api: Api, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be learnt at the first bad version. An object that is not there yet, and a cluster that does not answer
    now, may be there in time."""
    monkeypatch.setitem(sources.KINDS, "scripted", "tests.fakes.gates:Scripted")
    undo = {"kind": "kubernetes", "namespace": "shop", "deployment": "api", "kubeconfig": str(kubeconfig)}
    async with replica(tmp_path / "journal.db", config(actions={"back": undo})) as running:
        await running.keeper.could_start(request(), caller="ci")
        api.denied.add("PATCH")
        why = "action back: Deployment shop/api: whoever asks here may not patch deployments api in namespace shop"
        for asking in (running.keeper.could_start, running.keeper.start):
            with pytest.raises(InvalidRequest) as refused:
                await asking(request(), caller="ci")
            assert why in str(refused.value)
            assert "until then only a gate with rollback off can start" in str(refused.value)
        await running.keeper.could_start(request(rollback="off"), caller="ci")
        api.token = "another"  # so that it says 401
        await running.keeper.could_start(request(), caller="ci")


@pytest.mark.parametrize(
    ("versions", "spec", "why"),
    [
        (("1.0", "2.0"), {}, None),
        (("1.0",), {"paused": True}, None),  # the candidate is to come
        (
            ("1.0", "2.0"),
            {"paused": True},
            "it is paused: a change would have no effect until it is resumed (kubectl rollout resume deployment/api "
            "--namespace shop)",
        ),
        (("2.0",), {}, "there is no earlier revision without the candidate"),
        (
            ("2.0",),
            {"revisionHistoryLimit": 0},
            "there is no earlier revision without the candidate: its revisionHistoryLimit of 0 keeps none, set it to "
            "1 or more",
        ),
        (("1.9", "2.0"), {}, "every earlier revision failed a gate and is in quarantine: 1.9"),
    ],
    ids=["could go back", "not deployed yet", "paused", "the first", "no history", "quarantine"],
)
async def test_no_gate_starts_whose_workload_could_not_go_back(
    api: Api,
    kubeconfig: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    versions: tuple[str, ...],
    spec: dict[str, Any],
    why: str | None,
) -> None:
    """It would be learnt at the bad version, with that live."""
    monkeypatch.setitem(sources.KINDS, "scripted", "tests.fakes.gates:Scripted")
    undo = {"kind": "kubernetes", "namespace": "shop", "deployment": "api", "kubeconfig": str(kubeconfig)}
    put_revisions(api, *versions, **spec)
    async with replica(tmp_path / "journal.db", config(actions={"back": undo})) as running:
        bad = {"service": "api", "version": "1.9", "gate_id": "x", "since": datetime.now(UTC), "reason": "it failed"}
        async with running.database.write() as connection:
            await connection.execute(sa.insert(tables.quarantine).values(bad))
        await running.keeper.could_start(request(rollback="off"), caller="ci")
        if why is None:
            await running.keeper.could_start(request(), caller="ci")
            return
        for asking in (running.keeper.could_start, running.keeper.start):
            with pytest.raises(InvalidRequest) as refused:
                await asking(request(), caller="ci")
            assert f"action back: Deployment shop/api: {why}; until then only a gate with" in str(refused.value)
    assert not api.patches


async def test_what_is_missing_on_the_host_is_told_before_it_is_needed(tmp_path: Path) -> None:
    """By a look at the configuration, and to a gate that might need it: it does not start."""
    config = action(tmp_path / "gone", deployment="api")
    problem = config.problem_here({})
    assert problem == f"the kubeconfig {tmp_path}/gone cannot be read: No such file or directory"
    with pytest.raises(ArmError, match=r"cannot be read: .*; until then only a gate with rollback off can start"):
        config.check(order().arms)


async def test_a_proxy_is_asked_only_for_what_is_not_excepted(api: Api, kubeconfig: Path) -> None:
    """The usual NO_PROXY of a cluster has networks in it."""
    put_service(api, "green", "blue", "green")
    async with peers.peer() as proxy:
        kubeconfig.write_text(kubeconfig.read_text().replace("127.0.0.1", "localtest.example.com"))
        environ = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "10.0.0.0/8,.svc"}
        outcome = await tried(service(kubeconfig), order(), environ)
        assert outcome.ending is Ending.RETRY
        assert [call.method for call in proxy.received] == ["CONNECT"]
        await tried(service(kubeconfig), order(), {**environ, "NO_PROXY": "10.0.0.0/8,.example.com"})
        assert len(proxy.received) == 1


async def test_a_gate_without_what_the_selector_needs_is_refused_at_its_start(api: Api, tmp_path: Path) -> None:
    """With the field to fill in."""
    config = service(api.kubeconfig(tmp_path))
    config.check(order().arms)
    with pytest.raises(ArmError, match=r"baseline\.target: is needed: the label color has it"):
        config.check(order(baseline=Version(version="1.0")).arms)
    arms = order().arms
    with pytest.raises(ArmError, match="baseline: is needed"):
        config.check(type(arms)(arms.service, arms.candidate))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give one of service, deployment, statefulset, daemonset, rollout, route and ingress"),
        ({"deployment": "a", "rollout": "b"}, "give one of"),
        ({"service": "a"}, "selector belongs to service"),
        ({"deployment": "a", "selector": {"color": "$target"}}, "selector belongs to service"),
        ({"service": "a", "selector": {"color": "blue"}}, "the same for every version"),
        ({"deployment": "../secrets"}, "pattern"),
        ({"cronjob": "db"}, "a cronjob cannot be changed by this kind"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the reason."""
    with pytest.raises(ValidationError, match=message):
        configured(**{"kind": "kubernetes", **changes})
