"""Looking at gates, and acting on them."""

from tests.servers.gating import Gating, pushing


async def test_gates_are_listed_newest_first_in_pages(api: Gating) -> None:
    """`next` leads through all of them, each once."""
    service = api.service()
    started = [(await api.verify(service, "green", version=str(n), wait="20s")).body["id"] for n in range(3)]
    first = await api.call("GET", f"/gates?service={service}&limit=2")
    assert [gate["id"] for gate in first.body["gates"]] == started[:0:-1]
    rest = await api.call("GET", f"/gates?service={service}&limit=2&before={first.body['next']}")
    assert [gate["id"] for gate in rest.body["gates"]] == started[:1]
    assert rest.body["next"] is None


async def test_gates_are_listed_by_state(api: Gating) -> None:
    """`active` are all that are not over."""
    service = api.service()
    done = (await api.verify(service, "green", wait="20s")).body["id"]
    running = (await api.verify(service, "endless", version="3")).body["id"]

    async def listed(state: str) -> list[str]:
        page = await api.call("GET", f"/gates?service={service}&state={state}")
        return [gate["id"] for gate in page.body["gates"]]

    assert await listed("active") == [running]
    assert await listed("finished") == [done]


async def test_gates_are_listed_by_policy_and_deployment(api: Gating) -> None:
    """As a deploy tool looks for those of its key."""
    service = api.service()
    first = await api.verify(service, "green", deployment={"id": "run 1/ä"}, wait="20s")
    await api.verify(service, "endless", deployment={"id": "run 2"})

    async def listed(of: str) -> list[str]:
        return [gate["id"] for gate in (await api.call("GET", f"/gates?service={service}&{of}")).body["gates"]]

    assert await listed("deployment=run%201/%C3%A4") == await listed("policy=green") == [first.body["id"]]
    assert await listed("deployment=run") == await listed("policy=green&deployment=run%202") == []


async def test_a_gate_that_is_not_there(api: Gating) -> None:
    """404, whatever is asked of it."""
    for method, path, body in [
        ("GET", "", None),
        ("GET", "/events", None),
        ("POST", "/cancel", {"reason": "x"}),
        ("POST", "/rollback", {"reason": "x"}),
        ("POST", "/approve", {"reason": "x"}),
        ("POST", "/pause", {"reason": "x"}),
        ("POST", "/resume", {"reason": "x"}),
        ("POST", "/reject", {"reason": "x"}),
        ("POST", "/evidence", {"id": "1", "candidate": {"requests": 1, "errors": 0}}),
    ]:
        answer = await api.call(method, f"/gates/nosuchgate{path}", body)
        assert answer.status == 404, path
        assert answer.is_problem


async def test_get_can_wait_for_the_verdict(api: Gating) -> None:
    """The long poll of those who did not start the gate."""
    started = await api.verify(api.service(), "green")
    gate = await api.call("GET", f"/gates/{started.body['id']}?wait=20s")
    assert (gate.status, gate.body["verdict"]) == (200, "pass")


async def test_a_cancelled_gate_promotes_nothing(api: Gating) -> None:
    """Whoever waits is told at once; cancelling what is decided comes too late."""
    service = api.service()
    gate = (await api.verify(service, "endless", idempotency_key=service)).body["id"]
    cancelled = await api.call("POST", f"/gates/{gate}/cancel", {"reason": "wrong version"})
    assert (cancelled.status, cancelled.body["state"], cancelled.body["verdict"]) == (200, "cancelled", "cancelled")
    waited = await api.verify(service, "endless", idempotency_key=service, wait="20s")
    assert (waited.status, waited.body["may_stay"]) == (412, False)
    decided = (await api.verify(service, "green", wait="20s")).body["id"]
    assert (await api.call("POST", f"/gates/{decided}/cancel", {"reason": "x"})).status == 409


async def test_a_gate_without_a_ramp_is_not_paused(api: Gating) -> None:
    gate = (await api.verify(api.service(), "endless")).body["id"]
    for call, body in (("pause", {"reason": "x"}), ("resume", {"reason": "x", "pause": 1})):
        refused = await api.call("POST", f"/gates/{gate}/{call}", body)
        assert (refused.status, "widens nothing" in refused.body["detail"]) == (409, True)


async def test_a_person_decides_a_held_gate(api: Gating) -> None:
    """And only a held one."""
    service = api.service()
    gate = (await api.verify(service, "held", wait="3s", idempotency_key=service)).body
    assert gate["state"] == "held"
    path = f"/gates/{gate['id']}"
    approved = await api.call("POST", f"{path}/approve", {"reason": "we know this service"})
    assert (approved.status, approved.body["decision"]["by"], approved.body["may_stay"]) == (200, "admin", True)
    assert (await api.verify(service, "held", idempotency_key=service)).status == 200
    assert (await api.call("POST", f"{path}/reject", {"reason": "x"})).status == 409
    other = (await api.verify(service, "held", version="2.1", wait="3s")).body["id"]
    rejected = await api.call("POST", f"/gates/{other}/reject", {"reason": "we know this service"})
    assert (rejected.status, rejected.body["verdict"], rejected.body["may_stay"]) == (200, "fail", False)


async def test_a_rollback_needs_an_action(api: Gating) -> None:
    """Where none is configured the answer says which key to set."""
    gate = (await api.verify(api.service(), "endless")).body["id"]
    answer = await api.call("POST", f"/gates/{gate}/rollback", {"reason": "now"})
    assert answer.status == 409
    assert "on_fail" in answer.body["detail"]


async def test_a_push_counts_once(api: Gating) -> None:
    """Sent again under the same id it is taken, and changes nothing."""
    gate = (await api.verify(api.service(), "pushed")).body["id"]
    push = {"id": "p1", "candidate": {"requests": 100, "errors": 1}}
    for _ in range(3):
        assert (await api.call("POST", f"/gates/{gate}/evidence", push)).status == 202
    async with api.client() as client:
        async for shown in client.follow(gate, every=0.5):
            if shown.standing and shown.standing.criteria[0].requests:
                break
    assert shown.standing is not None
    assert (shown.standing.criteria[0].requests, shown.standing.criteria[0].bad) == (100, 1)


async def test_evidence_must_make_sense(api: Gating) -> None:
    """More errors than requests, or buckets without order, are refused with the field."""
    gate = (await api.verify(api.service(), "pushed")).body["id"]
    for candidate in (
        {"requests": 1, "errors": 2},
        {"requests": -1, "errors": 0},
        {"requests": "1", "errors": 0},
        {"requests": 1, "errors": 0, "latency": {"edges": [1, 0.5], "counts": [1, 0, 0]}},
    ):
        answer = await api.call("POST", f"/gates/{gate}/evidence", {"id": "x", "candidate": candidate})
        assert answer.status == 422
        assert answer.body["errors"][0]["field"].startswith("candidate")


async def test_a_passed_gate_is_watched(api: Gating) -> None:
    """The verdict is there, and the gate goes on until it is cancelled."""
    service = api.service()
    gate = (await api.verify(service, "watched", idempotency_key=service)).body["id"]
    async with api.client() as client, pushing(client, gate, bad=0.0):
        passed = await client.verdict(gate)
        assert (passed.verdict, passed.state) == ("pass", "watching")
        assert (await client.cancel(gate, "watched enough")).state == "finished"
