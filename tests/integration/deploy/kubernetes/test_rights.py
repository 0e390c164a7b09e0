"""The rights that the manifests give to healthd, against the calls that its actions really make."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from tests.integration.deploy.kubernetes import test_platform as deploys
from tests.integration.gates.actions import test_kubernetes as actions
from tests.integration.gates.actions import test_kubernetes_revisions as revisions
from tests.integration.gates.actions import test_kubernetes_weights as weights
from tests.integration.gates.actions.ordering import Hurried, described, order, tried
from tests.servers import kubernetes, kubernetes_controllers
from tests.servers.kubernetes import Api
from tests.servers.kubernetes_revisions import Revisions
from tests.servers.peers import Received

FOLDER = Path(__file__).parents[4] / "deploy" / "kubernetes"
_CALL = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)/namespaces/shop/(?P<kind>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
Right = tuple[str, str, str, str]
"""A group of the API, a resource with its subresource, the name of an object or `*`, a verb."""


def right_of(call: Received) -> Right:
    """What an API server would ask of the caller's rights."""
    found = _CALL.match(call.path)
    assert found, call.path
    verb = {"PATCH": "patch", "GET": "get" if found["name"] else "list"}[call.method]
    resource = f"{found['kind']}/{found['part']}" if found["part"] else found["kind"]
    return found["group"] or "", resource, found["name"] or "*", verb


def rights_in(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }


def selected(api: Api) -> None:
    actions.put_service(api, "green", "blue", "green")


def deployed(api: Api) -> None:
    actions.put_revisions(api, "1.0", "2.0")


def rolled_out(api: Api) -> None:
    status = {"stableRS": "h1", "currentPodHash": "h2"}
    api.put(actions.ROLLOUT, {"spec": {"template": actions.template("2.0")}, "status": status})


def promoted(api: Api) -> None:
    actions.put_revisions(api, "1.0", "2.0", path=actions.ROLLOUT, revision="rollout.argoproj.io/revision")
    api.put(actions.ROLLOUT, {**api.get(actions.ROLLOUT), "status": {"stableRS": "h2", "currentPodHash": "h2"}})


def revised(kind: str) -> Callable[[Api], None]:
    def arrange(api: Api) -> None:
        for version in ("1.0", "2.0"):
            revisions.put(api, kind, version)
            Revisions(api).act()

    return arrange


def divided(api: Api) -> None:
    weights.put_endpoints(api, blue=True, green=True)
    weights.put_route(api, {"api-blue": 50, "api-green": 50})
    weights.put_ingress(api, "api-green", canary="true", canary_weight="50")
    api.put(f"{weights.INGRESS}-canary", {key: api.get(weights.INGRESS)[key] for key in ("metadata", "spec")})


OBJECTS = {"ingress": "api-canary"}
"""Names that the pages give to objects other than `api`."""


@pytest.mark.parametrize(
    ("kind", "arrangements", "more"),
    [
        ("route", [divided], {"backends": weights.BACKENDS}),
        ("ingress", [divided], {"backends": weights.BACKENDS}),
        ("service", [selected], {"selector": {"color": "$target"}}),
        ("deployment", [deployed], {}),
        ("statefulset", [revised("statefulset")], {}),
        ("daemonset", [revised("daemonset")], {}),
        ("rollout", [rolled_out, promoted], {}),
    ],
)
async def test_a_role_has_the_rights_that_the_action_uses_and_no_other(
    kind: str, arrangements: list[Callable[[Api], None]], more: dict[str, Any], tmp_path: Path
) -> None:
    """In every state that it may find, carried out, told and found done: no more, no less."""
    used = set()
    for arrange in arrangements:
        async with kubernetes.running() as api:
            arrange(api)
            config = actions.action(api.kubeconfig(tmp_path), **{kind: OBJECTS.get(kind, "api")}, **more)
            await described(config, order())
            await tried(config, order(), clock=Hurried())  # no controller ever tells that the pods run
            await tried(config, order(), clock=Hurried())
            assert api.patches
            used |= {right_of(call) for call in api.received}
    role, binding = YAML(typ="safe").load_all(FOLDER / "rollback" / kind / "role.yaml")
    assert rights_in(role) == used
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "healthd", "namespace": "healthd"}]


DIVIDED: dict[str, dict[str, Any]] = {
    ".": {},
    "route": {"service": None, "route": "api", "backends": weights.BACKENDS},
    "ingress": {"service": None, "ingress": "api-canary", "backends": weights.BACKENDS},
}


@pytest.mark.parametrize("folder", DIVIDED)
async def test_the_deployer_has_the_rights_that_a_deploy_uses_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Releases to either colour that go well and that do not, switches and the clean-up."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))

    async def runs(_name: str, image: str, _replicas: int) -> bool:
        return not image.endswith("bad")

    async with kubernetes.running() as api, kubernetes_controllers.running(api, runs):
        api.put(deploys.SERVICE, {"spec": {"selector": {"app": "api", "color": "blue"}}})
        weights.put_endpoints(api, green=True)
        weights.put_route(api, {"api-blue": 1, "api-green": 0})
        weights.put_ingress(api, "api-green", canary="true")
        api.put(f"{weights.INGRESS}-canary", {key: api.get(weights.INGRESS)[key] for key in ("metadata", "spec")})
        deploys.put_deployment(api, "blue", "1.0", 1)
        deploys.put_deployment(api, "green", "0.9", 0)
        platform = KubernetesPlatform(deploys.config(api, tmp_path, **DIVIDED[folder]), every=0.05)
        await platform.release("green", "2.0")
        await platform.switch("green")
        await platform.retire("blue")
        with pytest.raises(StepFailed):
            await platform.release("blue", "bad")
        used = {right_of(call) for call in api.received if "/namespaces/" in call.path}
    _, role, binding = YAML(typ="safe").load_all(FOLDER / "deployer" / folder / "role.yaml")
    assert rights_in(role) == used
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
