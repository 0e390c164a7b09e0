"""The Kubernetes action that gives a candidate a part of the traffic: an HTTPRoute, and the canary of ingress-nginx."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, ActionRequest, Ending
from healthd_gates.actions.kubernetes.route import Split
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import ArmError
from tests.integration.gates.actions.ordering import Hurried, described, examined, order, tried
from tests.integration.gates.actions.test_kubernetes import action
from tests.servers import kubernetes, kubernetes_controllers
from tests.servers.kubernetes import Api

ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/api"
INGRESS = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/api"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
BACKENDS = {"blue": "api-blue", "green": "api-green"}
CANARY = "nginx.ingress.kubernetes.io/canary"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A cluster in which both versions have an endpoint, and a Gateway takes routes."""
    async with kubernetes.running() as running, kubernetes_controllers.running(running):
        put_endpoints(running, blue=True, green=True)
        yield running


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    return api.kubeconfig(tmp_path)


def put_endpoints(api: Api, **ready: bool) -> None:
    for color, is_ready in ready.items():
        labels = {"kubernetes.io/service-name": f"api-{color}"}
        endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": is_ready}}]
        api.put(f"{SLICES}/api-{color}", {"metadata": {"labels": labels}, "endpoints": endpoints})


def put_route(api: Api, *rules: dict[str, int | None], status: dict[str, Any] | None = None) -> None:
    """A route whose rules have these backends and weights."""
    spec = [
        {
            "backendRefs": [
                {"name": name, "port": 80, **({} if w is None else {"weight": w})} for name, w in rule.items()
            ]
        }
        for rule in rules
    ]
    api.put(ROUTE, {"spec": {"rules": spec}, **({"status": status} if status else {})})


def put_ingress(api: Api, *services: str, **annotations: str) -> None:
    paths = [{"path": "/", "backend": {"service": {"name": name, "port": {"number": 80}}}} for name in services]
    named = {f"{CANARY}{name.removeprefix('canary').replace('_', '-')}": value for name, value in annotations.items()}
    api.put(
        INGRESS,
        {"metadata": {"annotations": {"note": "kept"} | named}, "spec": {"rules": [{"http": {"paths": paths}}]}},
    )


def weights(api: Api) -> list[list[int]]:
    return [[ref["weight"] for ref in rule["backendRefs"]] for rule in api.get(ROUTE)["spec"]["rules"]]


def route(kubeconfig: Path) -> ActionConfig:
    return action(kubeconfig, route="api", backends=BACKENDS)


def ingress(kubeconfig: Path) -> ActionConfig:
    return action(kubeconfig, ingress="api", backends=BACKENDS)


def to(share: float, candidate: Version | None = None, baseline: Version | None = None) -> ActionRequest:
    """A step of a ramp; 0 is the way back."""
    if not share:
        return order(candidate, baseline)
    return replace(order(candidate, baseline, occasion=Occasion.RAMP, key="0123:ramp-1:back"), weight=share)


@given(st.floats(0, 1))
def test_the_share_is_never_above_what_is_allowed_and_little_below(share: float) -> None:
    """And a share that is more than nothing is never nothing."""
    found = Split("new", "old", share).weights
    if found is None:
        assert 0 < share < 0.0001
        return
    given_share = found[0] / sum(found)
    assert share * 0.9 - 1e-4 <= given_share <= share + 1e-9
    assert (given_share == 0) == (share == 0)


async def test_a_route_gives_the_candidate_its_part_and_all_and_nothing(api: Api, kubeconfig: Path) -> None:
    """Done once the Gateway has seen it; and then nothing is done again."""
    put_route(api, {"api-blue": None, "api-green": 0}, {"api-green": None})
    first = await tried(route(kubeconfig), to(0.166))
    assert (first.ending, first.seen) == (Ending.DONE, True), first
    assert first.detail == "HTTPRoute shop/api: did send 16.6 % to api-green, the rest to api-blue"
    assert weights(api) == [[834, 166], [1]]
    await tried(route(kubeconfig), to(0.0032))
    assert weights(api) == [[9968, 32], [1]]
    await tried(route(kubeconfig), to(1.0))
    assert weights(api) == [[0, 100], [1]]
    back = await tried(route(kubeconfig), to(0.0))
    assert (back.ending, back.seen, weights(api)) == (Ending.DONE, True, [[100, 0], [1]])
    assert len(api.patches) == 4
    again = await tried(route(kubeconfig), to(0.0))
    assert (again.ending, "nothing to do" in again.detail, len(api.patches)) == (Ending.DONE, True, 4)
    fields = api.get(ROUTE)["metadata"]["managedFields"]
    assert {entry["manager"] for entry in fields} == {"healthd"}


async def test_the_next_release_goes_the_other_way(api: Api, kubeconfig: Path) -> None:
    put_route(api, {"api-blue": 0, "api-green": 100}, {"api-green": 1, "api-blue": 0})
    blue, green = Version(version="3.0", target="blue"), Version(version="2.0", target="green")
    assert (await tried(route(kubeconfig), to(0.25, candidate=blue, baseline=green))).ending is Ending.DONE
    assert weights(api) == [[250, 750], [750, 250]]


@pytest.mark.parametrize(
    ("rules", "share", "ending", "says"),
    [
        ([{"api-blue": 1}], 0.5, Ending.REFUSED, "no rule of it has both api-green and api-blue"),
        ([{"api-blue": 1, "api-green": 0, "shop": 5}], 0.5, Ending.REFUSED, "sends requests to shop as well"),
        ([{"api-blue": 1, "api-green": 0}], 0.00005, Ending.REFUSED, "give the ramp more budget"),
    ],
)
async def test_a_route_that_cannot_be_divided_is_left_alone(
    api: Api, kubeconfig: Path, rules: list[dict[str, int | None]], share: float, ending: Ending, says: str
) -> None:
    put_route(api, *rules)
    outcome = await tried(route(kubeconfig), to(share))
    assert (outcome.ending, says in outcome.detail) == (ending, True), outcome
    assert not api.patches


@pytest.mark.parametrize(("share", "ending"), [(0.1, Ending.RETRY), (0.0, Ending.NO_BASELINE)])
@pytest.mark.parametrize("kind", ["route", "ingress"])
async def test_no_traffic_goes_where_no_endpoint_is_ready(
    api: Api, kubeconfig: Path, kind: str, share: float, ending: Ending
) -> None:
    put_route(api, {"api-blue": 50, "api-green": 50})
    put_ingress(api, "api-green", canary="true", canary_weight="50")
    put_endpoints(api, blue=bool(share), green=not share)
    outcome = await tried((route if kind == "route" else ingress)(kubeconfig), to(share), clock=Hurried())
    assert (outcome.ending, "is ready" in outcome.detail) == (ending, True), outcome
    assert not api.patches


async def test_what_somebody_changes_meanwhile_is_read_again(api: Api, kubeconfig: Path) -> None:
    """The rules have moved: the weights go where the Services are now."""
    put_route(api, {"api-blue": 1, "api-green": 0})
    changes = iter([lambda: put_route(api, {"shop": 1}, {"api-green": 0, "api-blue": 1})])
    api.before_patch = lambda: next(changes, lambda: None)()
    assert (await tried(route(kubeconfig), to(0.5))).ending is Ending.DONE
    assert weights(api) == [[1], [500, 500]]


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (None, "no Gateway has taken it"),
        ({"Accepted": ("True", 0)}, "example.com/gateway has not seen it yet"),
        ({"Accepted": ("False", 9)}, "example.com/gateway refuses it: NotAllowedByListeners"),
    ],
)
async def test_a_weight_is_set_once_a_gateway_has_taken_it(
    tmp_path: Path, conditions: dict[str, tuple[str, int]] | None, says: str
) -> None:
    """Until then it is under way, and is tried again."""
    async with kubernetes.running() as api:
        told = [
            {"type": name, "status": status, "observedGeneration": seen, "reason": "NotAllowedByListeners"}
            for name, (status, seen) in (conditions or {}).items()
        ]
        parents = [{"controllerName": "example.com/gateway", "conditions": told}] if conditions else []
        if conditions and "has not seen" in says:
            told[0]["observedGeneration"] = 1
        put_endpoints(api, blue=True, green=True)
        put_route(api, {"api-blue": 1, "api-green": 0}, status={"parents": parents})
        outcome = await tried(route(api.kubeconfig(tmp_path)), to(0.5), clock=Hurried())
        again = await tried(route(api.kubeconfig(tmp_path)), to(0.5), clock=Hurried())
        assert (again.ending, says in again.detail) == (Ending.RETRY, True), (outcome, again)
        assert len(api.patches) == 1


async def test_nothing_is_sent_to_a_backend_that_the_gateway_does_not_find(api: Api, kubeconfig: Path) -> None:
    """It would answer 500; the way back is taken all the same."""
    async with kubernetes.running() as api:
        put_endpoints(api, blue=True, green=True)
        missing = {"type": "ResolvedRefs", "status": "False", "message": "Service api-green not found"}
        parent = {"controllerName": "example.com/gateway", "conditions": [missing]}
        put_route(api, {"api-blue": 50, "api-green": 50}, status={"parents": [parent]})
        file = api.kubeconfig(kubeconfig.parent)
        outcome = await tried(route(file), to(0.6), clock=Hurried())
        assert (outcome.ending, "Service api-green not found" in outcome.detail) == (Ending.RETRY, True)
        assert not api.patches
        await tried(route(file), to(0.0), clock=Hurried())
        assert weights(api) == [[100, 0]]


@pytest.mark.parametrize(
    ("serves", "share", "weight"), [("green", 0.0166, "16"), ("blue", 0.0166, "984"), ("green", 1.0, "100")]
)
async def test_a_canary_ingress_gives_the_candidate_its_part(
    api: Api, kubeconfig: Path, serves: str, share: float, weight: str
) -> None:
    """Whichever of the two the canary leads to. Its controller tells nothing, so that nobody has seen it."""
    put_ingress(api, f"api-{serves}", canary="true")
    outcome = await tried(ingress(kubeconfig), to(share))
    assert (outcome.ending, outcome.seen) == (Ending.DONE, False)
    annotations = api.get(INGRESS)["metadata"]["annotations"]
    assert annotations[f"{CANARY}-weight"] == weight
    assert annotations[f"{CANARY}-weight-total"] == ("100" if share == 1 else "1000")
    assert annotations["note"] == "kept"
    assert (await tried(ingress(kubeconfig), to(share))).ending is Ending.DONE
    await tried(ingress(kubeconfig), to(0.0))
    assert len(api.patches) == 2
    assert api.get(INGRESS)["metadata"]["annotations"][f"{CANARY}-weight"] == ("100" if serves == "blue" else "0")


@pytest.mark.parametrize(
    ("services", "annotations", "says"),
    [
        (("api-green",), {}, "it is no canary"),
        (("shop",), {"canary": "true"}, "it leads to shop, and should lead to one of api-green and api-blue"),
        (("api-green", "api-blue"), {"canary": "true"}, "it leads to api-blue, api-green"),
    ],
)
async def test_an_ingress_that_is_no_canary_of_the_two_is_left_alone(
    api: Api, kubeconfig: Path, services: tuple[str, ...], annotations: dict[str, str], says: str
) -> None:
    put_ingress(api, *services, **annotations)
    outcome = await tried(ingress(kubeconfig), to(0.5))
    assert (outcome.ending, says in outcome.detail) == (Ending.REFUSED, True), outcome
    assert not api.patches


async def test_it_tells_what_it_would_do_and_whether_it_may(api: Api, kubeconfig: Path) -> None:
    put_route(api, {"api-blue": 1, "api-green": 0})
    assert "would send 50 % to api-green" in await described(route(kubeconfig), to(0.5))
    assert (await examined(route(kubeconfig))).ending is Ending.DONE
    assert not api.patches
    api.denied = {"PATCH"}
    refused = await examined(route(kubeconfig))
    assert "may not patch httproutes api in namespace shop" in refused.detail


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"route": "api"}, "backends belongs to route and ingress"),
        ({"deployment": "api", "backends": BACKENDS}, "backends belongs to route and ingress"),
        ({"route": "api", "backends": {"blue": "api", "green": "api"}}, "the Services of two targets"),
        ({"route": "api", "ingress": "api", "backends": BACKENDS}, "give one of"),
    ],
)
def test_what_cannot_be_is_refused_in_the_file(named: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=says):
        action(tmp_path / "kubeconfig", **named)


def test_a_target_that_it_does_not_know_is_refused_at_the_start(kubeconfig: Path) -> None:
    arms = order(baseline=Version(version="1.0", target="red")).arms
    with pytest.raises(ArmError, match=r"blue.*green"):
        route(kubeconfig).check(arms)
