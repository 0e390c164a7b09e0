"""A preflight comes before anything is deployed: it rolls nothing back, promotes nothing, and ends no watch."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.errors import NothingToRollBack, ServiceBusy
from healthd_gates.domain.gate import Gate, GateState, RollbackState
from healthd_gates.domain.request import Version
from tests.fakes.gates import POLICY, Note, Replica, Script, config, failing, healthy, replica, request
from tests.fakes.monitoring import DOWN, UP
from tests.unit.gates.engine.test_observer import CHECKED, put

FIRST = {"criteria": [{"kind": "checks", "group": "ready", "failures": 3}], "initial_delay": "0s", "quarantine": False}
WATCHED = {"watch": "1h", "initial_delay": "0s", "observe": {"min": "5s", "max": "1m"}}


def shop(**changes: Any) -> Any:
    """`quick` is the service's own policy, `first` a preflight with a name of the user's."""
    first = {**FIRST, "observe": {"min": "0s", "max": "1m"}, **changes}
    service = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"], "on_pass": ["promote"]}
    return config(
        policies={"quick": {**POLICY, **WATCHED}, "first": first},
        services={"api": service},
        actions={"back": {"kind": "note"}, "promote": {"kind": "note"}},
        **CHECKED,
    )


async def asked(running: Replica, policy: str, version: str = "2.1", **more: Any) -> Gate:
    gate = await running.keeper.start(request(version=version, policy=policy, **more), caller="ci")
    return await running.keeper.wait(gate.id, 600)


@pytest.mark.parametrize("result", [UP, DOWN], ids=["green", "red"])
async def test_its_verdict_calls_for_no_action_of_the_service(file: Path, result: Any) -> None:
    """The live version is healthy, and nothing was deployed that could be promoted."""
    Note.act = lambda _order: ActionResult(Ending.DONE)
    async with replica(file, shop()) as running:
        put(running, result)
        gate = await asked(running, "first")
        assert gate.state is GateState.FINISHED
        assert gate.rollback is None
        assert await running.keeper.orders(gate.id) == []
        with pytest.raises(NothingToRollBack):
            await running.keeper.interventions.rollback(gate.id, caller="ann", reason="by mistake")


async def test_what_its_own_policy_names_is_carried_out(file: Path) -> None:
    """Somebody has said so of this very policy."""
    Note.act = lambda _order: ActionResult(Ending.DONE)
    async with replica(file, shop(on_fail=["promote"])) as running:
        put(running, DOWN)
        gate = await asked(running, "first")
        assert [(order.action, order.occasion) for order in await running.keeper.orders(gate.id)] == [
            ("promote", Occasion.FAIL)
        ]


async def test_the_live_version_stays_watched(file: Path) -> None:
    """Through a red preflight; the gate after the switch ends the watch."""
    async with replica(file, shop()) as running:
        live = await asked(running, "quick", "2.0")
        put(running, DOWN)
        await asked(running, "first")
        assert (await running.keeper.get(live.id)).state is GateState.WATCHING
        await running.keeper.start(request(version="2.1"), caller="ci")
        assert (await running.keeper.get(live.id)).state is GateState.FINISHED


async def test_a_regression_is_rolled_back_while_a_preflight_is_asked(file: Path) -> None:
    """It waits for nobody; and once the preflight is over no deploy starts before the rollback is done."""
    Script.act, Note.act = (
        healthy,
        lambda order: ActionResult(Ending.RETRY if order.occasion.is_rollback else Ending.DONE),
    )
    async with replica(file, shop()) as running:
        live = await asked(running, "quick", "2.0", baseline=Version(version="1.0"))
        preflight = await running.keeper.start(request(version="2.1", policy="first"), caller="ci")
        Script.act = failing
        while (now := await running.keeper.get(live.id)).state is GateState.WATCHING:
            await asyncio.sleep(1)
        assert now.rollback is not None
        assert now.rollback.state is RollbackState.DUE
        assert (await running.keeper.get(preflight.id)).decision is None
        await running.keeper.wait(preflight.id, 600)
        with pytest.raises(ServiceBusy) as busy:
            await running.keeper.start(request(version="2.1"), caller="ci")
        assert busy.value.fields["gate_id"] == live.id
        await running.keeper.interventions.give_up(live.id, caller="ann", reason="by hand", done=True)
        assert (await running.keeper.start(request(version="2.1"), caller="ci")).state is GateState.OBSERVING
