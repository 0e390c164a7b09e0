"""Who is let in, and what is answered to calls that are none."""

import asyncio

import pytest

from tests.servers.gating import Gating

SCOPES = {
    ("GET", "/gates"): "read",
    ("GET", "/gates/{gate_id}"): "read",
    ("GET", "/gates/{gate_id}/actions"): "read",
    ("GET", "/gates/{gate_id}/events"): "read",
    ("GET", "/gates/{gate_id}/evidence"): "read",
    ("GET", "/locks"): "read",
    ("GET", "/locks/{service}"): "read",
    ("GET", "/quarantine"): "read",
    ("POST", "/gates/verify"): "verify",
    ("POST", "/gates/verify/dry-run"): "verify",
    ("POST", "/gates/{gate_id}/switched"): "verify",
    ("POST", "/gates/{gate_id}/cancel"): "verify",
    ("POST", "/gates/{gate_id}/pause"): "verify",
    ("POST", "/gates/{gate_id}/resume"): "rollback",
    ("POST", "/gates/{gate_id}/evidence"): "verify",
    ("POST", "/locks/{service}"): "verify",
    ("DELETE", "/locks/{service}"): "verify",
    ("POST", "/gates/{gate_id}/approve"): "rollback",
    ("POST", "/gates/{gate_id}/reject"): "rollback",
    ("GET", "/gates/{gate_id}/rollback"): "rollback",
    ("POST", "/gates/{gate_id}/rollback"): "rollback",
    ("POST", "/gates/{gate_id}/rollback/give-up"): "rollback",
    ("POST", "/gates/{gate_id}/rollback/put-back"): "verify",
    ("POST", "/actions/{action}/test"): "rollback",
    ("DELETE", "/quarantine/{service}"): "rollback",
    ("POST", "/v1/metrics"): "telemetry",
    ("POST", "/v1/traces"): "telemetry",
    ("POST", "/hooks/flagger/{hook}/{webhook}"): "hooks",
    ("POST", "/hooks/argo-rollouts/{hook}"): "hooks",
    ("POST", "/hooks/spinnaker/{hook}"): "hooks",
    ("GET", "/hooks/spinnaker/{hook}"): "hooks",
    ("GET", "/hooks/spinnaker/{hook}/{gate_id}"): "hooks",
    ("POST", "/hooks/spinnaker/{hook}/cancel"): "hooks",
    ("POST", "/hooks/ecs/{hook}"): "hooks",
    ("POST", "/hooks/codedeploy/{hook}/{service}"): "hooks",
    ("POST", "/api/v2/deployments/gates/evaluation"): "hooks",
    ("GET", "/api/v2/deployments/gates/evaluation/{gate_id}"): "hooks",
}
ANYBODY = {
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health/startup"),
    ("GET", "/health/{group}"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("OPTIONS", "/"),
    ("OPTIONS", "/health"),
    ("OPTIONS", "/health/live"),
    ("OPTIONS", "/health/ready"),
    ("OPTIONS", "/health/startup"),
    ("OPTIONS", "/health/{group}"),
}
CHECKS = {  # tests/unit/healthd/web/test_checks_api.py, test_windows_api.py, test_heartbeats_api.py
    ("POST", "/checks/{name}/run"),
    ("POST", "/heartbeats/{name}"),
    ("POST", "/heartbeats/{name}/{signal}"),
    *((method, path) for method in ("GET", "POST") for path in ("/ping/{key}", "/ping/{key}/{signal}")),
    ("GET", "/windows"),
    ("POST", "/windows"),
    ("DELETE", "/windows/{id}"),
    ("GET", "/history"),  # and test_history_api.py
    ("GET", "/history/{name}"),
    ("GET", "/audit"),
    ("GET", "/incidents"),  # and public/test_incidents_api.py
    ("POST", "/incidents"),
    ("POST", "/incidents/{incident}/updates"),
    ("DELETE", "/incidents/{incident}"),
}
SIGNED = {("POST", "/hooks/github/{hook}")}  # no token opens it: its own tests say who may come in
NO_TOKEN = {"/api/v2/deployments": 403}  # datadog-ci asks again after every status but 400 and 403
PARTS = {"gate_id": "g1", "action": "back", "service": "api-0", "hook": "flagger", "webhook": "rollout"}


@pytest.mark.parametrize(("method", "path"), SCOPES)
async def test_every_call_needs_its_scope(api: Gating, method: str, path: str) -> None:
    """401 without a token, 403 with another scope's, something else with the right one."""
    scope, path = SCOPES[method, path], path.format(**PARTS)
    refused = next((status for root, status in NO_TOKEN.items() if path.startswith(root)), 401)
    assert (await api.call(method, path, token=None)).status == refused
    for token in ("read", "verify", "rollback", "hooks", "telemetry"):
        answer = await api.call(method, path, token=token)
        assert (answer.status == 403) == (token != scope)
        assert answer.status < 500


async def test_the_table_of_scopes_is_complete(api: Gating) -> None:
    """No call of the description is missing from the test above."""
    paths = (await api.call("GET", "/openapi.json", token=None)).body["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == set(SCOPES) | SIGNED | ANYBODY | CHECKS


@pytest.mark.parametrize(("method", "path"), sorted(ANYBODY))
async def test_some_calls_need_no_token(api: Gating, method: str, path: str) -> None:
    """Load balancers and Prometheus have none."""
    assert (await api.call(method, path.format(group="ready"), token=None)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/gates/", 404),
        ("GET", "/gates/g1/nothing", 404),
        ("GET", "/gates/%00", 404),
        ("GET", "/gates/g1%0A", 404),
        ("GET", "/gates/%ff", 404),
        ("GET", "/locks/a%2Fb", 404),
        ("PUT", "/gates", 405),
        ("DELETE", "/gates/g1", 405),
        ("POST", "/gates/g1", 405),
        ("PATCH", "/quarantine", 405),
    ],
)
async def test_what_is_no_call_is_a_problem_document(api: Gating, method: str, path: str, status: int) -> None:
    """404 or 405, never a page of HTML; 405 says which methods there are."""
    answer = await api.call(method, path)
    assert answer.status == status
    assert answer.is_problem
    assert ("Allow" in answer.headers) == (status == 405)


async def test_a_body_must_be_json_of_a_reasonable_size(api: Gating) -> None:
    """415 for another type, 413 for more than 64 KiB, 400 for what is no JSON."""
    wrong_type = await api.call("POST", "/gates/verify", b"{}", Content_Type="text/xml")
    too_large = await api.call("POST", "/gates/verify", b" " * 70_000, Content_Type="application/json")
    broken = await api.call("POST", "/gates/verify", b"{", Content_Type="application/json")
    assert [answer.status for answer in (wrong_type, too_large, broken)] == [415, 413, 400]
    assert all(answer.is_problem for answer in (wrong_type, too_large, broken))


async def test_too_many_calls_are_429(api: Gating) -> None:
    """For the one who makes them, and nobody else."""
    answers = await asyncio.gather(*(api.call("GET", "/locks", token="busy") for _ in range(300)))
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert all(answer.is_problem and int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert (await api.call("GET", "/locks", token="read")).status == 200
