"""Flagger's webhooks as Flagger calls them: a POST without a header of one's own, over and over."""

from typing import Any

import pytest

from tests.servers.gating import Answer, Gating

CONFIRM = ("confirm-traffic-increase", "confirm-promotion")


def payload(api: Gating, service: str, checksum: str = "85d557f47b", phase: str = "Progressing") -> dict[str, Any]:
    """A payload with the fields, and in the form, that Flagger gives it."""
    token = {"token": api.tokens["hooks"]}
    return {"name": service, "namespace": "shop", "phase": phase, "checksum": checksum, "metadata": token}


async def call(api: Gating, webhook: str, body: dict[str, Any], hook: str = "flagger") -> Answer:
    return await api.call("POST", f"/hooks/flagger/{hook}/{webhook}", body, token=None)


async def decided(api: Gating, answer: Answer) -> None:
    async with api.client() as client:
        await client.verdict(answer.body["gate"])


async def test_the_token_comes_in_the_metadata(api: Gating) -> None:
    """Or in the header; a wrong one, none, and one with another scope are refused, and none is in the log."""
    service = api.service()
    body = payload(api, service)
    assert (await call(api, "rollback", body)).status == 409
    for bad in ({}, {"token": "hd_wrong"}, {"token": ""}):
        assert (await call(api, "rollback", {**body, "metadata": bad})).status == 401
    assert "metadata" in (await call(api, "rollback", {**body, "metadata": {}})).body["detail"]  # it sends no header
    assert (await call(api, "rollback", {**body, "metadata": {"token": api.tokens["read"]}})).status == 403
    by_header = await api.call("POST", "/hooks/flagger/flagger/rollback", {**body, "metadata": {}}, token="hooks")
    assert by_header.status == 409
    assert (await api.call("GET", "/gates", token="hooks")).status == 403
    assert not any(secret in api.daemon.log() for secret in ("hd_wrong", api.tokens["hooks"], api.tokens["read"]))


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/hooks/flagger/nobody/rollout", {}, 404),
        ("/hooks/flagger/flagger/rollout", {"name": "stranger"}, 404),
        ("/hooks/flagger/flagger/gate", {}, 404),
        ("/hooks/flagger/flagger/rollout", {"checksum": 'x"}'}, 422),
        ("/hooks/flagger/flagger/rollout", {"metadata_": 1, "phase": None}, 422),
    ],
)
async def test_what_is_not_configured_does_not_exist(
    api: Gating, path: str, change: dict[str, Any], status: int
) -> None:
    """No status of these is one that Flagger takes for a yes."""
    answer = await api.call("POST", path, {**payload(api, api.service()), **change}, token=None)
    assert (answer.status, answer.is_problem) == (status, True)


ASKED = ("pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback", "event")
STATUSES = {
    "flagger-endless": (200, 200, 200, 409, 409, 200),
    "flagger": (200, 200, 200, 200, 409, 200),
    "flagger-red": (412, 412, 409, 409, 200, 200),
}


@pytest.mark.parametrize("hook", STATUSES)
async def test_a_rollout_has_one_gate_that_answers_all_webhooks(api: Gating, hook: str) -> None:
    """While it runs: advance, do not promote, do not roll back; then what its verdict calls for."""
    body = payload(api, api.service())
    begun = await call(api, "pre-rollout", body, hook)
    assert (begun.status, begun.body["verdict"]) == (200, "running")
    if hook != "flagger-endless":
        await decided(api, begun)
    answers = [await call(api, webhook, body, hook) for webhook in ASKED]
    assert tuple(answer.status for answer in answers) == STATUSES[hook]
    assert {answer.body["gate"] for answer in answers if not answer.is_problem} == {begun.body["gate"]}


async def test_what_forbids_a_deploy_is_a_no_to_every_webhook(api: Gating) -> None:
    """A deploy lock: a failed check at the beginning, waiting where Flagger waits, and never a rollback."""
    service = api.service()
    lock = {"holder": "kim", "for": "5m", "reason": "migration"}
    assert (await api.call("POST", f"/locks/{service}", lock)).status == 200
    answers = [await call(api, webhook, payload(api, service)) for webhook in (*ASKED[:-1], "confirm-rollout")]
    assert {answer.status for answer in answers} == {409}
    assert answers[0].body["holder"] == "kim"


async def test_only_begun_rollouts_have_gates(api: Gating) -> None:
    """What Flagger asks or tells beforehand begins none, and never makes it roll back."""
    service = api.service()
    body = payload(api, service)
    answers = [await call(api, webhook, body) for webhook in ("rollback", "event", "post-rollout")]
    assert [(answer.status, answer.body["gate"]) for answer in answers] == [(409, None), (200, None), (200, None)]
    async with api.client() as client:
        assert (await client.gates(service=service)).gates == []


@pytest.mark.parametrize("webhook", ["post-rollout", "event"])
async def test_a_rollout_that_flagger_ended_leaves_no_gate_behind(api: Gating, webhook: str) -> None:
    """As when its own metrics failed: the service is free for the next, and the gate rolls nothing back later."""
    service = api.service()
    body = payload(api, service)
    begun = await call(api, "rollout", body, "flagger-endless")
    told = {"eventMessage": "Canary failed! Scaling down", "eventType": "Warning", "timestamp": "1795388400000"}
    ended = {**body, "phase": "Failed", "metadata": {**body["metadata"], **told}}
    assert (await call(api, webhook, body, "flagger-endless")).body["verdict"] == "running"
    assert (await call(api, webhook, ended, "flagger-endless")).body["verdict"] == "cancelled"
    assert (await call(api, "rollback", body, "flagger-endless")).status == 409
    following = await call(api, "rollout", payload(api, service, "7d5f8b9c4"), "flagger-endless")
    assert (following.status, following.body["verdict"]) == (200, "running")
    assert following.body["gate"] != begun.body["gate"]


async def test_nothing_is_deployed_while_preflight_is_red(api: Gating) -> None:
    """Flagger waits at confirm-rollout; each gate that fails is followed by another, a pass counts at once."""
    service = api.service()
    body = payload(api, service, phase="Waiting")
    first = await call(api, "confirm-rollout", body, "flagger-red")
    assert (first.status, first.body["verdict"]) == (409, "running")
    await decided(api, first)
    second = await call(api, "confirm-rollout", body, "flagger-red")
    assert second.status == 409
    await decided(api, second)
    green = await call(api, "confirm-rollout", body)
    await decided(api, green)
    assert [(await call(api, "confirm-rollout", body)).status for _ in range(2)] == [200, 200]
    assert (await call(api, "confirm-rollout", payload(api, service), "flagger-endless")).body[
        "title"
    ] == "No preflight"
