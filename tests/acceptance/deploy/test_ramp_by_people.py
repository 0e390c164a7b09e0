"""A ramp behind a real NGINX under load that people stop and let go on: by command line, API and page."""

from pathlib import Path
from typing import Any

import aiohttp

from healthd_gates.client.client import GateClient
from healthd_gates.schema.gate import GateDocument
from healthd_gates.schema.ramp import PauseDocument, RampDocument
from tests.acceptance.deploy.test_nginx import Stage, ended, staged
from tests.acceptance.deploy.test_nginx_ramp import ramps
from tests.servers import daemon
from tests.servers.command import started
from tests.servers.requests import Load
from tests.servers.waiting import until

RAMP = {"budget": 1e6, "steps": ["10%", "25%", "50%"], "pause_before": ["25%", "50%", "100%"], "step_timeout": "10m"}


async def test_people_let_it_go_on_and_stop_it_without_going_back(tmp_path: Path) -> None:
    """By each of the three ways, each pause by its own number; what is cancelled stays as wide as it was, and not a
    request is lost."""

    def asks(settings: dict[str, Any]) -> None:
        ramps(tmp_path, settings)
        settings["policies"]["gradual"] |= {"initial_delay": "15s", "ramp": RAMP}

    async with (
        staged(tmp_path, change=asks) as stage,
        GateClient(stage.daemon.url, daemon.TOKEN) as client,
        Load(stage.balancer.url).running() as load,
    ):
        await stage.fleet.release("green", "1.1")
        gate_id = (
            await client.verify(
                {
                    "service": "api",
                    "candidate": {"version": "1.1", "target": "green"},
                    "baseline": {"version": "1.0", "target": "blue"},
                }
            )
        ).id
        await _by_page(stage, gate_id, "pause")
        assert (await _paused(client, gate_id, 1)).by == "tests"
        await _by_command(stage, "resume", gate_id)

        assert (await _paused(client, gate_id, 2)).before == 0.25
        assert _ramp(await client.gate(gate_id)).weight == 0.1
        assert _ramp(await client.resume(gate_id, "twice", pause=1)).pause is not None
        assert _ramp(await client.resume(gate_id, "the graphs are fine", pause=2)).pause is None

        assert (await _paused(client, gate_id, 3)).before == 0.5
        await _by_page(stage, gate_id, "resume.3")
        assert (await _paused(client, gate_id, 4)).before == 1.0

        await _by_command(stage, "cancel", gate_id)
        stopped = await client.gate(gate_id)
        assert (stopped.state, stopped.verdict, _ramp(stopped).weight) == ("cancelled", "cancelled", 0.5)
        count = len(load.seen)
        await until(lambda: len(load.seen) > count + 200, "more requests")
        assert {version for version, _ in load.seen[count:]} == {"1.0", "1.1"}
        assert [each for each in load.seen if each[1] != 200] == []
        assert [order.weight for order in (await client.actions(gate_id)).actions] == [0.1, 0.25, 0.5]


def _ramp(gate: GateDocument) -> RampDocument:
    assert gate.ramp is not None, gate
    return gate.ramp


async def _paused(client: GateClient, gate_id: str, number: int) -> PauseDocument:
    """The pause of this number, once the ramp is in it."""
    pause: PauseDocument | None = None

    async def is_in_it() -> bool:
        nonlocal pause
        pause = _ramp(await client.gate(gate_id)).pause
        return pause is not None and pause.number == number

    await until(is_in_it, f"pause {number}", 60.0)
    assert pause is not None
    return pause


async def _by_command(stage: Stage, *words: str) -> None:
    env = {"HEALTHD_URL": stage.daemon.url, "HEALTHD_TOKEN": daemon.TOKEN}
    done = await ended(await started("healthd", "gate", *words, "--reason", "so we agreed", env=env))
    assert done.code == 0, done


async def _by_page(stage: Stage, gate_id: str, act: str) -> None:
    """Press the button that the page shows."""
    address = f"{stage.daemon.url}/gates/{gate_id}/page"
    form = {"act": act, "reason": "so we agreed", "sure": "yes", "token": daemon.TOKEN}
    async with aiohttp.ClientSession() as browser:
        async with browser.get(address) as page:
            assert f'value="{act}' in await page.text()
        async with browser.post(address, data=form, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
