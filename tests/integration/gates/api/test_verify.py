"""`POST /gates/verify` and the status that each outcome has."""

import asyncio

import pytest

from tests.servers.gating import Gating, pushing
from tests.servers.waiting import until


async def test_a_pass_is_200(api: Gating) -> None:
    """The call is held until the verdict."""
    answer = await api.verify(api.service(), "green", wait="20s")
    assert answer.status == 200
    assert (answer.body["verdict"], answer.body["may_stay"], answer.body["state"]) == ("pass", True, "finished")
    assert answer.body["decision"]["sentence"]
    assert answer.body["standing"]["criteria"][0]["finding"] == "safe"


async def test_a_fail_is_412(api: Gating) -> None:
    """A gate as well, not a problem: the pipeline wants to know why."""
    answer = await api.verify(api.service(), "red", wait="20s")
    assert answer.status == 412
    assert (answer.body["verdict"], answer.body["may_stay"]) == ("fail", False)


async def test_no_verdict_yet_is_202(api: Gating) -> None:
    """With the gate's address and the time after which to ask."""
    answer = await api.verify(api.service(), "endless", wait="100ms")
    assert answer.status == 202
    assert answer.headers["Location"] == f"{api.daemon.url}/gates/{answer.body['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert (answer.body["verdict"], answer.body["may_stay"]) == ("running", False)
    found = await api.call("GET", f"/gates/{answer.body['id']}")
    assert (found.status, found.body["id"]) == (200, answer.body["id"])


async def test_nobody_decides_without_traffic(api: Gating) -> None:
    """Inconclusive, which this policy takes for a fail: 412, and never a pass."""
    answer = await api.verify(api.service(), "held", wait="2s")
    assert answer.status == 202

    async def is_held() -> bool:
        return bool((await api.call("GET", f"/gates/{answer.body['id']}")).body["state"] == "held")

    await until(is_held, "a person is waited for")
    strict = await api.verify(api.service(), "pushed", wait="0s")
    assert strict.status == 202


@pytest.mark.parametrize(("bad", "status", "verdict"), [(0.0, 200, "pass"), (0.4, 412, "fail")])
async def test_pushed_counts_decide(api: Gating, bad: float, status: int, verdict: str) -> None:
    """Until the verdict, however long that takes: `wait=verdict` never answers 202."""
    service = api.service()
    gate = (await api.verify(service, "pushed", idempotency_key=service)).body["id"]
    async with api.client() as client, pushing(client, gate, bad=bad):
        answer = await api.verify(service, "pushed", wait="verdict", idempotency_key=service)
    assert (answer.status, answer.body["verdict"], answer.body["id"]) == (status, verdict, gate)


async def test_the_same_key_is_the_same_gate(api: Gating) -> None:
    """From header or field, at once or one after the other; another request under the key is refused."""
    service = api.service()
    body = {"service": service, "policy": "endless", "candidate": {"version": "2"}}
    key = f"key-{service}"
    answers = await asyncio.gather(
        *(api.call("POST", "/gates/verify", body, Idempotency_Key=key) for _ in range(5)),
        api.call("POST", "/gates/verify", body, Idempotency_Key=f'"{key}"'),
        api.call("POST", "/gates/verify", {**body, "idempotency_key": key}),
    )
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["id"] for answer in answers}) == 1
    other = await api.call("POST", "/gates/verify", {**body, "candidate": {"version": "3"}}, Idempotency_Key=key)
    assert other.status == 422
    assert other.body["errors"][0]["field"] == "idempotency_key"


async def test_a_service_has_one_gate_at_a_time(api: Gating) -> None:
    """409 says whose it is and until when; once it is cancelled the next one may start."""
    service = api.service()
    first = await api.verify(service, "endless")
    second = await api.verify(service, "endless")
    assert second.status == 409
    assert second.is_problem
    assert second.body["gate_id"] == first.body["id"]
    assert second.body["caller"] == "admin"
    assert second.body["until"] > first.body["created_at"]
    await api.call("POST", f"/gates/{first.body['id']}/cancel", {"reason": "tidy up"})
    assert (await api.verify(service, "endless")).status == 202


async def test_two_who_start_at_once_get_one_gate(api: Gating) -> None:
    """Exactly one of many is let in."""
    service = api.service()
    answers = await asyncio.gather(*(api.verify(service, "endless") for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [202] + [409] * 7


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"service": "nobody"}, 404, "service"),
        ({"policy": "nothing"}, 404, "policy"),
        ({"candidate": {"version": "2", "target": "nowhere"}}, 422, "candidate.target"),
        ({"candidate": {"version": "2 or 1=1"}}, 422, "candidate.version"),
        ({"candidate": {}}, 422, "candidate.version"),
        ({"rollback": "maybe"}, 422, "rollback"),
        ({"urll": "http://169.254.169.254/"}, 422, "urll"),
    ],
)
async def test_what_is_wrong_is_named(api: Gating, change: dict[str, object], status: int, field: str) -> None:
    """Unknown names are 404, unfit values 422, and the field is in the answer."""
    body = {"service": api.service(), "candidate": {"version": "2"}, **change}
    answer = await api.call("POST", "/gates/verify", body)
    assert answer.status == status
    assert answer.is_problem
    assert field in [error["field"] for error in answer.body["errors"]]


async def test_a_failed_version_is_refused_until_let_out(api: Gating) -> None:
    """Quarantine is a 409; an override needs a person's scope, and lets it in once it is out."""
    service = api.service()
    failed = await api.verify(service, "red", version="bad", wait="20s")
    again = await api.verify(service, "green", version="bad")
    assert (again.status, again.body["gate_id"]) == (409, failed.body["id"])
    override = {"of": ["quarantine"], "reason": "it was the network"}
    body = {"service": service, "policy": "green", "candidate": {"version": "bad"}, "override": override}
    assert (await api.call("POST", "/gates/verify", body, token="verify")).status == 403
    assert (await api.call("POST", "/gates/verify?wait=20s", body)).status == 200
    kept = await api.call("GET", "/quarantine")
    assert [v["version"] for v in kept.body["versions"] if v["service"] == service] == ["bad"]
    path = f"/quarantine/{service}?version=bad"
    assert (await api.call("DELETE", path)).status == 400, "the reason is for the audit"
    assert (await api.call("DELETE", f"{path}&reason=network")).status == 204
    assert (await api.call("DELETE", f"{path}&reason=network")).status == 404
    assert (await api.verify(service, "green", version="bad", wait="20s")).status == 200
