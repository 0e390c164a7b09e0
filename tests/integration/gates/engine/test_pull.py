"""Two people who pull the cord at the same time, at two replicas, on both databases."""

import asyncio

import pytest

from healthd.runtime.clock import SystemClock
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.gate import GateState, RollbackState
from tests.fakes.gates import Note, config, request, start_replica
from tests.servers.waiting import until


@pytest.mark.usefixtures("_scripted")
async def test_two_who_pull_at_the_same_time_pull_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rollback is over before the second one comes to it."""
    monkeypatch.setattr(Note, "act", lambda _order: ActionResult(Ending.DONE, "switched"))
    monkeypatch.setattr(Note, "tried", [])
    clock, configuration = SystemClock(), config(policy={"confirm_timeout": "0s", "quarantine": False})
    replicas = [await start_replica(url, configuration, clock) for _ in range(2)]
    try:
        for pulls in range(1, 7):
            gate = await replicas[pulls % 2].keeper.start(request(), caller="ci")
            pulled = [
                one.keeper.interventions.rollback(gate.id, caller=f"ann-{n}", reason="now")
                for n, one in enumerate(replicas)
            ]
            await asyncio.gather(*pulled)

            async def over(gate_id: str = gate.id) -> bool:
                return (await replicas[0].keeper.get(gate_id)).state is GateState.FINISHED

            await until(over, "the end of the gate")
            ended = await replicas[0].keeper.get(gate.id)
            assert ended.rollback is not None
            assert (ended.rollback.state, ended.rollback.round) == (RollbackState.UNCONFIRMED, 1)
            assert len(Note.tried) == pulls
    finally:
        for one in replicas:
            await one.stop()
