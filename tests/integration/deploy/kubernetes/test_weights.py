"""Kubernetes as a platform whose traffic an HTTPRoute or a canary Ingress divides: the real kubectl, an API of the
tests' own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_deploy.core.exit import StepFailed, TargetDown
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from healthd_deploy.kubernetes.settings import KubernetesConfig
from tests.integration.deploy.kubernetes.test_platform import IMAGE, config, put_deployment
from tests.integration.gates.actions import test_kubernetes_weights as action
from tests.integration.gates.actions.test_kubernetes_weights import BACKENDS, CANARY, INGRESS, put_endpoints, weights
from tests.servers import kubernetes, kubernetes_controllers
from tests.servers.kubernetes import Api

KINDS = pytest.mark.parametrize("kind", ["route", "ingress"])


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Api]:
    """Blue has 1.0, green 0.9 without pods."""
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
    async with kubernetes.running() as running, kubernetes_controllers.running(running):
        put_deployment(running, "blue", "1.0", 2)
        put_deployment(running, "green", "0.9", 0)
        put_endpoints(running, blue=True, green=True)
        yield running


def divided(api: Api, kind: str, green: int) -> None:
    """Green has so many percent."""
    if kind == "route":
        action.put_route(api, {"api-blue": 100 - green, "api-green": green})
    else:
        action.put_ingress(api, "api-green", canary="true", canary_weight=str(green))


def platform(api: Api, folder: Path, kind: str, before: str | None = None, **more: Any) -> KubernetesPlatform:
    async def before_ramp() -> str | None:
        return before

    settings = config(api, folder, service=None, **{kind: "api", "backends": BACKENDS, **more})
    return KubernetesPlatform(settings, every=0.05, before_ramp=before_ramp)


def canary(api: Api) -> str:
    return str(api.get(INGRESS)["metadata"]["annotations"][f"{CANARY}-weight"])


@KINDS
async def test_who_is_live_is_who_has_all_of_it_or_had_before_a_ramp(api: Api, tmp_path: Path, kind: str) -> None:
    """However much of it the candidate has by now: a person who cancels, or a kill, may leave 80 % with it."""
    for green, before, live in ((0, "green", "blue"), (100, "blue", "green"), (80, "blue", "blue")):
        divided(api, kind, green)
        found = platform(api, tmp_path, kind, before)
        assert (await found.live(), await found.share("green")) == (live, green / 100)
    with pytest.raises(StepFailed, match="no gate of healthd says which of them had all of the traffic"):
        await platform(api, tmp_path, kind).live()


async def test_rules_that_differ_are_parts_of_both(api: Api, tmp_path: Path) -> None:
    action.put_route(api, {"api-blue": 1, "api-green": 0}, {"api-blue": 0, "api-green": 1}, {"shop": 1})
    found = platform(api, tmp_path, "route", "blue")
    assert (await found.live(), await found.share("blue"), await found.share("green")) == ("blue", 1.0, 1.0)


@KINDS
async def test_a_switch_gives_a_target_all_of_it_once(api: Api, tmp_path: Path, kind: str) -> None:
    """From any weight; where it is so already nothing is sent, and nothing goes where no endpoint is ready."""
    divided(api, kind, 30)
    found = platform(api, tmp_path, kind)
    await found.switch("blue")
    assert weights(api) == [[100, 0]] if kind == "route" else canary(api) == "0"
    await found.switch("blue")
    assert len(api.patches) == 1
    put_endpoints(api, green=False)
    for gives in (found.switch, found.could_take_back):
        with pytest.raises(TargetDown, match="no endpoint of api-green is ready: green gets no traffic"):
            await gives("green")
    assert len(api.patches) == 1


@KINDS
async def test_a_switch_bears_a_change_by_others(api: Api, tmp_path: Path, kind: str) -> None:
    """healthd's own way back may come in between: then it is read again."""
    divided(api, kind, 30)
    changes = iter([lambda: divided(api, kind, 40)])
    api.before_patch = lambda: next(changes, lambda: None)()
    await platform(api, tmp_path, kind).switch("blue")
    assert weights(api) == [[100, 0]] if kind == "route" else canary(api) == "0"


@KINDS
async def test_nothing_is_released_to_or_put_back_on_a_target_with_a_part(api: Api, tmp_path: Path, kind: str) -> None:
    """The version that it has already is no release: a deploy that was killed goes on."""
    divided(api, kind, 0)
    found = platform(api, tmp_path, kind, "blue")
    await found.release("green", "2.0")
    divided(api, kind, 5)
    patches = len(api.patches)
    await found.release("green", "2.0")
    with pytest.raises(StepFailed, match="green has 5 % of the traffic: nothing may be released to it"):
        await found.release("green", "2.1")
    with pytest.raises(StepFailed, match="green has the traffic"):
        await found.put_back("green")
    assert len(api.patches) == patches
    await found.switch("blue")
    await found.put_back("green")
    assert await found.version("green") == "0.9"


async def test_a_route_that_no_gateway_takes_up_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
    async with kubernetes.running() as api:
        put_endpoints(api, blue=True)
        divided(api, "route", 50)
        settings = config(api, tmp_path, service=None, route="api", backends=BACKENDS)
        hurried = settings.model_copy(update={"kubectl": settings.kubectl.model_copy(update={"retry_for": 3.0})})
        with pytest.raises(StepFailed, match=r"HTTPRoute api is taken up: .* \(no Gateway has taken it\)"):
            await KubernetesPlatform(hurried, every=0.05).switch("blue")


@pytest.mark.parametrize(
    ("put", "says"),
    [
        (lambda api: action.put_route(api, {"api-blue": 1}), "no rule of it has both"),
        (lambda api: action.put_route(api, {"api-blue": 1, "api-green": 0, "shop": 1}), "sends requests to shop"),
    ],
)
async def test_a_route_that_divides_otherwise_is_left_alone(api: Api, tmp_path: Path, put: Any, says: str) -> None:
    put(api)
    found = platform(api, tmp_path, "route")
    with pytest.raises(StepFailed, match=f"HTTPRoute api: .*{says}"):
        await found.live()
    with pytest.raises(StepFailed, match=says):
        await found.switch("green")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"route": "api"}, "give one of service, route and ingress"),
        ({"service": None}, "give one of service, route and ingress"),
        ({"service": None, "route": "api"}, "backends needs the Service of each of blue, green"),
        (
            {"service": None, "route": "api", "backends": {"blue": "a", "red": "b"}},
            "backends needs the Service of each of blue, green",
        ),
        ({"service": None, "ingress": "api", "backends": {"blue": "a", "green": "a"}}, "the same Service"),
        ({"backends": BACKENDS}, "backends belongs to route and ingress"),
    ],
)
def test_what_cannot_be_is_refused_in_the_file(named: dict[str, Any], says: str) -> None:
    application = {
        "namespace": "shop",
        "service": "api",
        "deployments": {"blue": "api-blue", "green": "api-green"},
        "container": "api",
        "image": f"{IMAGE}:$version",
    }
    with pytest.raises(ValidationError, match=says):
        KubernetesConfig.model_validate({"service": "api", "application": application | named})


def test_a_ramp_by_a_selector_is_refused_in_the_file() -> None:
    """It knows all or nothing: what to name in its place is said."""
    application = {
        "namespace": "shop",
        "service": "api",
        "deployments": {"blue": "api-blue", "green": "api-green"},
        "container": "api",
        "image": f"{IMAGE}:$version",
    }
    with pytest.raises(ValidationError, match="switched as a whole: for a ramp name `route`"):
        KubernetesConfig.model_validate({"service": "api", "strategy": "ramp", "application": application})
