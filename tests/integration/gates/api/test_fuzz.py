"""Whatever the description allows, and much that it forbids: no call ends in a 5xx or in a status it does not name."""

import random
from itertools import cycle
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.gates.api.test_door import ANYBODY, CHECKS, SCOPES
from tests.servers.gating import FUZZED, FUZZERS, Gating

PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PLAIN = {call for call in ANYBODY if "{" not in call[1] and call[1] != "/metrics"}
"""Calls of which nothing can be wrong: they take nothing."""
ALL = [
    (mode, *call)
    for mode in GenerationMode
    for call in (*SCOPES, *sorted(ANYBODY), *sorted(CHECKS))
    if mode is GenerationMode.POSITIVE or call not in PLAIN
]
callers = cycle(FUZZERS)


@pytest.fixture(scope="module")
def described(api: Gating) -> Any:
    return schemathesis.openapi.from_url(f"{api.daemon.url}/openapi.json")


@pytest.fixture(scope="module")
def gates(api: Gating) -> dict[str, str]:
    """A gate that is over, and one that runs."""
    found = {}
    for name, policy, wait in (("over", "green", "10s"), ("running", "endless", "0s")):
        body: Any = {"service": api.service(), "policy": policy, "candidate": {"version": "1"}}
        headers = {"Authorization": f"Bearer {api.tokens['admin']}"}
        answer = requests.post(f"{api.daemon.url}/gates/verify?wait={wait}", json=body, headers=headers, timeout=60)
        found[name] = answer.json()["id"]
    return found


@pytest.mark.parametrize(("mode", "method", "path"), ALL, ids=lambda part: getattr(part, "value", part))
def test_no_call_surprises(
    mode: GenerationMode, method: str, path: str, described: Any, api: Gating, gates: dict[str, str]
) -> None:
    """Half of the calls name what exists, so that they get behind the first refusal."""
    dice = random.Random(f"{method} {path}")

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case[Any]) -> None:
        if dice.random() < 0.5:
            name_what_exists(case, gates, dice)
        token = api.tokens[next(callers)]
        response = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=30)
        case.validate_response(response, checks=PROMISES[1:] if is_no_verdict_yet(case, response) else PROMISES)

    call()


def is_no_verdict_yet(case: schemathesis.Case[Any], response: Any) -> bool:
    """Whether a 503 is the answer that was asked for with `answer=strict`: a gate, and when to ask again."""
    strict = case.query.get("answer") == "strict" and response.status_code == 503
    told = {name.lower() for name in response.headers}
    return strict and response.json().get("verdict") == "running" and "retry-after" in told


def name_what_exists(case: schemathesis.Case[Any], gates: dict[str, str], dice: random.Random) -> None:
    service = f"api-{dice.choice(FUZZED)}"
    streams = case.path.endswith("/events")  # that of a running gate would not end
    if "gate_id" in (case.path_parameters or {}):
        case.path_parameters["gate_id"] = gates["over" if streams else dice.choice(["over", "running"])]
    if "service" in (case.path_parameters or {}):
        case.path_parameters["service"] = service
    if "group" in (case.path_parameters or {}):
        case.path_parameters["group"] = "preflight"
    if "name" in (case.path_parameters or {}):
        case.path_parameters["name"] = "fine"
    if "hook" in (case.path_parameters or {}):
        case.path_parameters["hook"] = case.path.split("/")[2]
        name_what_a_tool_knows(case.body, service)
    if isinstance(case.body, dict) and "service" in case.body:
        case.body["service"] = service
        case.body.pop("policy", None)
    if "wait" in case.query:
        case.query["wait"] = "10ms"


def name_what_a_tool_knows(body: Any, service: str) -> None:
    """What each of them calls the thing that it deploys."""
    known = {"name": service, "namespace": "shop", "rollout": f"shop/{service}", "stage": service}
    if isinstance(body, dict):
        body.update({key: value for key, value in known.items() if key in body})
