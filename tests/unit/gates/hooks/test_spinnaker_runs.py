"""What a webhook stage of Spinnaker's is told, from its start to its end."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.fakes.gates import Replica, replica
from tests.unit.gates.hooks.asking import Asking, Said, quick

RUN = {"stage": "api-production", "execution": "01HZX3"}
HOOK = "https://healthd.example/hooks/spinnaker/spinnaker"


class Stage(Asking):
    def __init__(self, running: Replica) -> None:
        super().__init__(running, "spinnaker", "spinnaker")

    async def start(self, execution: str = "01HZX3", version: str = "2.0") -> Said:
        return await self.ask("spinnaker_start", {**RUN, "execution": execution, "version": version})

    async def poll(self, gate: str) -> Said:
        return await self.ask("spinnaker_status", gate_id=gate)


async def test_the_address_to_poll_is_a_whole_one(file: Path) -> None:
    """In the header and in the body; and with what it posted to, a stage polls the same gate."""
    async with replica(file, quick()) as running:
        stage = Stage(running)
        started = await stage.start()
        assert started.status == 202
        assert started.headers["Location"] == started.body["status_url"] == f"{HOOK}/{started.gate}"
        polled = await stage.ask("spinnaker_poll", query=RUN)
        assert (polled.status, polled.gate, polled.body["status"]) == (200, started.gate, "RUNNING")
        unknown = await stage.ask("spinnaker_poll", query={**RUN, "execution": "01HZX4"})
        assert unknown.status == 404


async def test_a_lock_is_waited_for_and_a_quarantine_is_not(file: Path) -> None:
    """Spinnaker asks again after a 503, and no 4xx."""
    async with replica(file, quick()) as running:
        stage = Stage(running)
        await running.keeper.locks.take("api", holder="kim", seconds=600, reason="maintenance", caller="kim")
        refused = await stage.start()
        assert (refused.status, refused.body["status"], refused.body["type"]) == (503, 503, "urn:healthd:locked")
        assert int(refused.headers["Retry-After"]) > 0
        await running.keeper.locks.release("api", holder="kim", caller="kim")
        started = await stage.start()
        await running.keeper.interventions.rollback(started.gate, caller="kim", reason="it is bad")
        again = await stage.start("01HZX5")
        assert (again.status, again.body["type"]) == (409, "urn:healthd:quarantined")


async def test_a_stage_that_is_started_again_has_a_gate_of_its_own(file: Path) -> None:
    """Once it has read its verdict; a start that is repeated before that is the same stage."""
    async with replica(file, quick()) as running:
        stage = Stage(running)
        started = await stage.start()
        assert (await stage.start()).gate == started.gate
        while (said := await stage.poll(started.gate)).body["status"] == "RUNNING":
            await asyncio.sleep(5)
        assert said.body["status"] == "SUCCEEDED"
        again = await stage.start()
        assert (again.gate != started.gate, again.body["status"]) == (True, "RUNNING")


def test_the_preconfigured_webhook_says_what_the_stage_says() -> None:
    """The two files are one stage."""
    from ruamel.yaml import YAML

    folder = Path(__file__).parents[4] / "deploy" / "hooks"
    stage: dict[str, Any] = json.loads((folder / "spinnaker-stage.json").read_text())
    [kept] = YAML(typ="safe").load(folder / "spinnaker-preconfigured.yaml")["webhook"]["preconfigured"]
    same = ["url", "method", "failFastStatusCodes", "waitForCompletion", "statusUrlResolution", "statusJsonPath"]
    same += ["progressJsonPath", "successStatuses", "canceledStatuses", "terminalStatuses", "cancelEndpoint"]
    assert {key: kept[key] for key in same} == {key: stage[key] for key in same}
    for payload in ("payload", "cancelPayload"):
        assert set(json.loads(kept[payload])) == set(stage[payload])
