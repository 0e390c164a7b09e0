"""What the API tells of a rollback: what it would do, what it does, and what came of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.gating import Gating, gating
from tests.servers.peers import Answer, Peer
from tests.servers.waiting import until


@pytest.fixture
async def rolling(tmp_path: Path, peer: Peer) -> AsyncIterator[Gating]:
    """A daemon whose service is rolled back by a webhook to the peer."""
    action = {"kind": "webhook", "url": f"{peer.url}/back", "secret": "a secret of some length"}
    service = {"source": {"kind": "push"}, "policy": "endless", "on_fail": ["traffic-back"]}
    async with gating(tmp_path, actions={"traffic-back": action}, services={"api-0": service}, hooks={}) as running:
        yield running


async def test_a_dry_run_tells_what_would_happen(rolling: Gating, peer: Peer) -> None:
    """Nothing is sent, and the gate stands as before."""
    gate = (await rolling.verify("api-0", "endless")).body
    told = await rolling.call("GET", f"/gates/{gate['id']}/rollback")
    would = f"POST to {peer.url} for api-0 2, signed"
    assert (told.status, told.body) == (
        200,
        {"actions": [{"action": "traffic-back", "kind": "webhook", "would": would}]},
    )
    assert not peer.received
    assert (await rolling.call("GET", f"/gates/{gate['id']}")).body["rollback"] is None
    assert (await rolling.call("GET", f"/gates/{gate['id']}/actions")).body == {"actions": []}


async def test_the_gate_tells_how_its_rollback_goes(rolling: Gating, peer: Peer) -> None:
    """While the receiver is down, and once it is back."""
    peer.answer("POST", "/back", Answer(503, body="under repair"))
    gate = (await rolling.verify("api-0", "endless")).body
    path = f"/gates/{gate['id']}"
    await rolling.call("POST", f"{path}/rollback", {"reason": "customers call"})

    async def shown(state: str) -> Any:
        told: dict[str, Any] = {}

        async def there() -> bool:
            told.update((await rolling.call("GET", path)).body)
            rollback = told["rollback"]
            return rollback["state"] == state and rollback["detail"] is not None

        await until(there, f"a rollback that is {state}")
        return told

    down = await shown("due")
    assert (down["state"], down["may_stay"]) == ("acting", False)
    assert "traffic-back was tried" in down["rollback"]["detail"]
    assert "answered 503: under repair" in down["rollback"]["detail"]
    (action,) = (await rolling.call("GET", f"{path}/actions")).body["actions"]
    assert (action["state"], action["finished_at"]) == ("due", None)
    assert action["next_try_at"] > action["called_for_at"]
    peer.answer("POST", "/back", Answer(200))
    over = await shown("rollback_unconfirmed")
    assert over["rollback"]["detail"] == "Nobody can tell: the request names no baseline to look at."
    (action,) = (await rolling.call("GET", f"{path}/actions")).body["actions"]
    assert (action["state"], action["next_try_at"]) == ("done", None)
    assert len({received.headers["Idempotency-Key"] for received in peer.received}) == 1
