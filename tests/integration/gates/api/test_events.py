"""A gate's log as server-sent events."""

import asyncio
import json
from typing import Any

import aiohttp

from tests.servers.gating import Gating
from tests.servers.waiting import HANGS


async def stream(api: Gating, gate: str, last: str | None = None, query: str = "") -> tuple[int, list[dict[str, Any]]]:
    """All that is sent until the stream ends."""
    headers = {"Authorization": f"Bearer {api.tokens['read']}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    url = f"{api.daemon.url}/gates/{gate}/events{query}"
    async with (
        asyncio.timeout(HANGS),
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers) as response,
    ):
        text = await response.text()
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "id" in fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return response.status, events


async def test_a_stream_ends_at_the_verdict(api: Gating) -> None:
    """Every event of the log in its order, the last one the decision."""
    gate = (await api.verify(api.service(), "green")).body["id"]
    status, events = await stream(api, gate)
    assert status == 200
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("started", "decision")
    assert events[-1]["data"]["gate"] == gate


async def test_a_stream_goes_on_after_what_was_seen(api: Gating) -> None:
    """Nothing is sent twice, and once all was seen the answer is that nothing more comes."""
    gate = (await api.verify(api.service(), "green", wait="20s")).body["id"]
    _, events = await stream(api, gate)
    _, rest = await stream(api, gate, last="1")
    assert [event["id"] for event in rest] == [event["id"] for event in events[1:]]
    assert await stream(api, gate, last=events[-1]["id"]) == (204, [])


async def test_a_stream_may_go_on_to_the_end(api: Gating) -> None:
    """Past the verdict, until the gate is over."""
    gate = (await api.verify(api.service(), "green", wait="20s")).body["id"]
    _, events = await stream(api, gate, query="?until=over")
    assert events[-1]["data"]["body"]["state"] == "finished"


async def test_two_may_follow_the_same_gate(api: Gating) -> None:
    """They see the same."""
    gate = (await api.verify(api.service(), "green")).body["id"]
    (_, one), (_, other) = await asyncio.gather(stream(api, gate), stream(api, gate))
    assert one == other


async def test_a_bad_id_is_refused(api: Gating) -> None:
    """It never was one of ours."""
    gate = (await api.verify(api.service(), "green")).body["id"]
    answer = await api.call("GET", f"/gates/{gate}/events", Last_Event_ID="-1")
    assert answer.status == 400
