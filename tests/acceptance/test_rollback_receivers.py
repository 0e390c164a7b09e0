"""Receivers of rollbacks as they are at three in the morning: down, hanging, late. The daemon tells how it stands."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import expect

from tests.acceptance.test_pages import looking
from tests.servers import chromium, daemon
from tests.servers.peers import Answer, Peer, Received
from tests.servers.waiting import until

POLICY = {
    "initial_delay": "0s",
    "interval": "1s",
    "observe": {"min": "1s", "max": "1s"},
    "criteria": [{"kind": "error_rate", "limit": "5%"}],
    "confirm_timeout": "0s",
    "quarantine": False,
}


class Receivers:
    """One at each path; each counts its effects by key, whatever it answers."""

    def __init__(self, peer: Peer) -> None:
        self.effects: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.is_up = False
        for path, answer in (("/down", self._down), ("/hangs", self._hangs), ("/late", self._late)):
            peer.answer("POST", path, answer)

    def _down(self, received: Received) -> Answer:
        return self._done(received) if self.is_up else Answer(500, body="the deploy tool is being upgraded")

    def _hangs(self, received: Received) -> Answer:
        return self._done(received) if self.is_up else Answer(200, delay=60)

    def _late(self, received: Received) -> Answer:
        """The first answer comes after the caller has hung up: the effect is there, and nobody knows."""
        self._done(received)
        return Answer(200, delay=3.0 if self.calls[received.headers["Idempotency-Key"]] == 1 else 0.0)

    def _done(self, received: Received) -> Answer:
        key = received.headers["Idempotency-Key"]
        self.calls[key] += 1
        self.effects[key] += self.calls[key] == 1
        return Answer(200)


async def test_a_rollback_waits_for_its_receiver_and_says_so(peer: Peer, tmp_path: Path) -> None:
    """It answers 500, hangs, or answers too late: each rollback is done once, when that is over."""
    receivers, names = Receivers(peer), ("down", "hangs", "late")
    settings = {
        "journal": f"sqlite:///{tmp_path}/journal.db",
        "checks": {},
        "policies": {"quick": POLICY},
        "services": {
            name: {"source": {"kind": "push"}, "policy": "quick", "on_fail": [name], "on_inconclusive": [name]}
            for name in names
        },
        "actions": {name: {"kind": "webhook", "url": f"{peer.url}/{name}", "timeout": "1s"} for name in names},
    }
    async with (
        daemon.running(settings) as healthd,
        aiohttp.ClientSession(healthd.url, headers=daemon.AUTHORIZED) as client,
    ):

        async def get(path: str) -> Any:
            async with client.get(path) as response:
                assert response.status == 200, await response.text()
                return await response.json() if "json" in response.content_type else await response.text()

        async def start(name: str) -> str:
            asked = {"service": name, "candidate": {"version": "4.12.0"}, "baseline": {"version": "4.11.2"}}
            while True:
                async with client.post("/gates/verify", json=asked) as answer:
                    said = await answer.json()
                    if answer.status != 503:  # the journal is open
                        assert answer.status == 202, said
                        return f"/gates/{said['id']}"
                await asyncio.sleep(0.1)

        gates = {name: await start(name) for name in names}

        def tried(name: str, times: int) -> Callable[[], Awaitable[bool]]:
            async def so_often() -> bool:
                return any(it["tries"] >= times for it in (await get(f"{gates[name]}/actions"))["actions"])

            return so_often

        for name, says in (("down", "answered 500"), ("hangs", "no answer within 1 s")):
            await until(tried(name, 2), f"two tries of {name}")
            gate = await get(gates[name])
            assert (gate["state"], gate["rollback"]["state"], gate["may_stay"]) == ("acting", "due", False)
            (action,) = (await get(f"{gates[name]}/actions"))["actions"]
            assert (action["state"], says in action["detail"]) == ("due", True)
            assert action["next_try_at"] is not None
        await look(healthd.url + gates["down"], Path(os.environ.get("HEALTHD_TEST_PICTURES", tmp_path)))
        assert _value(await get("/metrics"), "healthd_action_queue_oldest_age_seconds") > 0
        receivers.is_up = True
        for name, gate in gates.items():

            async def over(gate: str = gate) -> bool:
                return bool((await get(gate))["state"] == "finished")

            await until(over, f"the end of {name}")
            assert (await get(gate))["rollback"]["state"] == "rollback_unconfirmed"
        await until(lambda: _nothing_due(get), "nothing is due any more")
    assert sorted(receivers.effects.values()) == [1, 1, 1]
    assert max(receivers.calls.values()) > 1


async def look(gate: str, pictures: Path) -> None:
    """What a person sees meanwhile."""
    pictures.mkdir(parents=True, exist_ok=True)
    async with chromium.browser() as browser, looking(browser) as (page, complaints):
        await page.goto(f"{gate}/page")
        await expect(page.locator("#orders")).to_contain_text("answered 500")
        await chromium.photograph(page, pictures, "gate-receiver-down")
        assert complaints == []


async def _nothing_due(get: Callable[[str], Awaitable[Any]]) -> bool:
    return _value(await get("/metrics"), "healthd_action_queue_oldest_age_seconds") == 0


def _value(metrics: str, name: str) -> float:
    (line,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])
