"""Datadog's deployment gates, asked as `datadog-ci deployment gate` asks them."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.servers.gating import Answer, Gating

PATH = "/api/v2/deployments/gates/evaluation"


def keys(api: Gating, application: str | None = None) -> dict[str, str]:
    """The headers of datadog-ci."""
    return {
        "DD_API_KEY": "none",
        "DD_APPLICATION_KEY": application or api.tokens["hooks"],
        "User_Agent": "datadog-ci/5.25.0 (arch x64; platform linux; node v20.20.2)",
    }


async def start(api: Gating, service: str, env: str = "prod", *, key: str | None = None, **more: Any) -> Answer:
    attributes = {"service": service, "env": env, "version": "2.0", **more}
    body = {"data": {"type": "deployment_gates_evaluation_request", "attributes": attributes}}
    return await api.call("POST", PATH, body, token=None, **keys(api, key))


async def poll(api: Gating, evaluation: str) -> dict[str, Any]:
    """The result, once there is one: asked for as the tool does, but sooner."""
    async with asyncio.timeout(60):
        while True:
            answer = await api.call("GET", f"{PATH}/{evaluation}", token=None, **keys(api))
            assert answer.status == 200
            attributes: dict[str, Any] = answer.body["data"]["attributes"]
            if attributes["gate_status"] != "in_progress":
                return attributes
            assert all(rule["status"] for rule in attributes["rules"])
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(("env", "status"), [("prod", "pass"), ("qa", "fail")])
async def test_an_evaluation_ends_as_its_gate_does(api: Gating, env: str, status: str) -> None:
    """With the rules and reasons that the tool prints."""
    service = api.service()
    started = await start(api, service, env, identifier="blue-green")
    assert started.status == 202
    assert started.body["data"]["type"] == "deployment_gates_evaluation_response"
    evaluation = started.body["data"]["attributes"]["evaluation_id"]
    result = await poll(api, evaluation)
    assert (result["gate_status"], result["dry_run"], result["evaluation_id"]) == (status, False, evaluation)
    assert UUID(result["gate_id"]).hex == evaluation
    assert [rule["name"] for rule in result["rules"]] == ["verdict", "checks"]
    assert {rule["status"] for rule in result["rules"]} == {status}
    assert all(rule["reason"] for rule in result["rules"])
    page = await api.call("GET", result["evaluation_url"].removeprefix(api.daemon.url))
    assert (page.status, service in page.body) == (200, True)


async def test_a_request_that_is_sent_again_is_the_same_evaluation(api: Gating) -> None:
    """While it runs and a moment after; another version is another one, and takes the place of the one before."""
    service = api.service()
    first, again = await asyncio.gather(start(api, service, "dev"), start(api, service, "dev"))
    assert first.body == again.body
    other = await start(api, service, "dev", version="3.0")
    assert other.status == 202
    assert other.body != first.body
    assert (await poll(api, first.body["data"]["id"]))["gate_status"] == "fail"
    done = await start(api, service := api.service())
    await poll(api, done.body["data"]["id"])
    assert (await start(api, service)).body == done.body


async def test_what_stands_in_the_way_is_a_conflict(api: Gating) -> None:
    """The tool tries again for a minute, and then fails."""
    service = api.service()
    assert (await api.call("POST", f"/locks/{service}", {"holder": "kim", "for": "1h", "reason": "x"})).status == 200
    refused = await start(api, service)
    assert (refused.status, refused.is_problem) == (409, True)
    assert "kim" in refused.body["errors"][0]["detail"]  # what the tool prints


async def test_who_may_ask_about_what(api: Gating) -> None:
    """Only with a token of healthd's, only about what is configured, and only about evaluations of its own."""
    service = api.service()
    assert (await start(api, service, key="4ab5deadbeef4ab5deadbeef4ab5deadbeef4ab5")).status == 403
    assert (await start(api, service, key=api.tokens["read"])).status == 403
    assert (await start(api, "stranger")).status == 400
    assert (await start(api, service, "nowhere")).status == 400
    assert (await start(api, service, version=None)).status == 400
    foreign = await api.verify(service, "endless")
    for evaluation in (foreign.body["id"], "0" * 32):
        assert (await api.call("GET", f"{PATH}/{evaluation}", token=None, **keys(api))).status == 400
    assert "4ab5deadbeef" not in api.daemon.log()
