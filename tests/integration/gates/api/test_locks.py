"""Deploy locks."""

from tests.servers.gating import Gating


def wanting(holder: str, duration: str = "10m") -> dict[str, str]:
    return {"holder": holder, "for": duration, "reason": "migration"}


async def test_a_lock_has_one_holder(api: Gating) -> None:
    """Another is told who and until when; the holder may prolong it, and only the holder gives it back."""
    path = f"/locks/{api.service()}"
    taken = await api.call("POST", path, wanting("job-1"))
    assert (taken.status, taken.body["holder"]) == (200, "job-1")
    refused = await api.call("POST", path, wanting("job-2"))
    assert (refused.status, refused.body["holder"], refused.body["until"]) == (409, "job-1", taken.body["until"])
    longer = await api.call("POST", path, wanting("job-1", "20m"))
    assert longer.body["until"] > taken.body["until"]
    assert (await api.call("GET", path)).body == longer.body
    assert longer.body in (await api.call("GET", "/locks")).body["locks"]
    assert (await api.call("DELETE", f"{path}?holder=job-2")).status == 409
    assert (await api.call("DELETE", f"{path}?holder=job-1")).status == 204
    assert (await api.call("GET", path)).status == 404
    assert (await api.call("POST", path, wanting("job-2"))).status == 200


async def test_an_exclusive_lock_is_one_run_s(api: Gating) -> None:
    """Its reason names the run; another of the same holder has it only once it says which one is over."""
    path = f"/locks/{api.service()}"
    one, two = ({"holder": "job-1", "for": "10m", "reason": reason, "exclusive": True} for reason in ("one", "two"))
    assert (await api.call("POST", path, one)).status == 200
    assert (await api.call("POST", path, one)).status == 200
    refused = await api.call("POST", path, two)
    assert (refused.status, refused.body["type"], refused.body["reason"]) == (409, "urn:healthd:locked", "one")
    assert (await api.call("POST", path, {**two, "instead_of": "none"})).status == 409
    assert (await api.call("POST", path, {**two, "instead_of": "one"})).status == 200
    assert (await api.call("POST", path, {**one, "instead_of": "one"})).status == 409


async def test_a_lock_keeps_gates_of_others_out(api: Gating) -> None:
    """Who deploys under the lock names its holder."""
    service = api.service()
    await api.call("POST", f"/locks/{service}", wanting("job-1"))
    refused = await api.verify(service, "endless")
    assert (refused.status, refused.body["holder"], refused.body["reason"]) == (409, "job-1", "migration")
    assert (await api.verify(service, "endless", lock="job-2")).status == 409
    assert (await api.verify(service, "endless", lock="job-1")).status == 202


async def test_a_lock_needs_a_service_a_holder_and_an_end(api: Gating) -> None:
    """Each is named when it is missing or wrong."""
    assert (await api.call("POST", "/locks/nobody", wanting("job-1"))).status == 404
    path = f"/locks/{api.service()}"
    for field, body in [
        ("holder", {"for": "1m", "reason": "x"}),
        ("for", {"holder": "a", "for": "1 minute", "reason": "x"}),
        ("for", {"holder": "a", "for": "30d", "reason": "x"}),
        ("reason", {"holder": "a", "for": "1m"}),
    ]:
        answer = await api.call("POST", path, body)
        assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert (await api.call("DELETE", path)).status == 400
