"""Argo Rollouts and Spinnaker at the door: which gate is whose, and what is nobody's."""

from typing import Any

from tests.servers.gating import Answer, Gating


async def measure(api: Gating, service: str, revision: str = "7", version: str = "6f8b9c7d5") -> Answer:
    body = {"rollout": f"shop/{service}", "revision": revision, "version": version}
    return await api.call("POST", "/hooks/argo-rollouts/argo-endless", body, token="hooks")


async def start(api: Gating, service: str, execution: str, **changes: Any) -> Answer:
    body = {"stage": service, "execution": execution, "version": "1.4.2", **changes}
    return await api.call("POST", "/hooks/spinnaker/spinnaker-endless", body, token="hooks")


async def test_every_measurement_of_a_revision_reads_one_gate(api: Gating) -> None:
    """And the next revision ends it: Argo Rollouts has given that analysis up without a word."""
    service = api.service()
    first, again = await measure(api, service), await measure(api, service)
    assert (first.status, first.body["verdict"], again.body["gate"]) == (200, "running", first.body["gate"])
    following = await measure(api, service, "8", "7d5f8b9c4")
    assert following.body["gate"] != first.body["gate"]
    old = await api.call("GET", f"/gates/{first.body['gate']}")
    assert (old.body["state"], old.body["caller"]) == ("cancelled", "hook:argo-endless")
    assert (await measure(api, "stranger")).status == 404


async def test_executions_that_overlap_leave_each_other_alone(api: Gating) -> None:
    """The second is told who holds the service, until the first has given up."""
    service = api.service()
    first, second = await start(api, service, "01A"), await start(api, service, "01B")
    assert (first.status, second.status, second.body["gate_id"]) == (202, 503, first.body["gate"])
    path = f"/hooks/spinnaker/spinnaker-endless/{first.body['gate']}"
    assert first.headers["Location"] == first.body["status_url"] == f"{api.daemon.url}{path}"
    for execution in ("01B", "01A", "01A"):
        body = {"stage": service, "execution": execution}
        given_up = await api.call("POST", "/hooks/spinnaker/spinnaker-endless/cancel", body, token="hooks")
        assert given_up.status == 204
        polled = await api.call("GET", path, token="hooks")
        assert polled.body["status"] == ("RUNNING" if execution == "01B" else "CANCELED")
    assert (await start(api, service, "01B")).status == 202
    assert (await start(api, "stranger", "01C")).status == 404


async def test_a_hook_shows_no_gate_but_its_own(api: Gating) -> None:
    """Its token reads nothing else, whatever id it guesses."""
    gate = (await api.verify(api.service(), "endless")).body["id"]
    assert (await api.call("GET", f"/hooks/spinnaker/spinnaker-endless/{gate}", token="hooks")).status == 404
    argo = (await measure(api, api.service())).body["gate"]
    assert (await api.call("GET", f"/hooks/spinnaker/spinnaker-endless/{argo}", token="hooks")).status == 404
