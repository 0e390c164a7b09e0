"""What a person, or a tool, asks of a gate that cannot have it, is refused."""

from pathlib import Path

import pytest

from healthd_gates.domain.errors import AlreadyDecided, NotHeld, NotPushed
from healthd_gates.domain.request import PushedCounts, PushedEvidence
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import config, over, replica, request

PUSHED = PushedEvidence(id="1", candidate=PushedCounts(requests=1, errors=0))


async def test_only_a_held_gate_is_decided_by_a_person(file: Path) -> None:
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        with pytest.raises(NotHeld):
            await running.keeper.interventions.decide(gate.id, Verdict.PASS, caller="ann", reason="fine")
        await over(running, gate)
        with pytest.raises(AlreadyDecided):
            await running.keeper.interventions.decide(gate.id, Verdict.PASS, caller="ann", reason="fine")


async def test_numbers_are_pushed_to_a_gate_that_reads_them_and_runs(file: Path) -> None:
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        with pytest.raises(NotPushed):
            await running.keeper.push(gate.id, PUSHED, caller="ci")
        running.configure(config(service={"source": {"kind": "push"}}))
        await running.keeper.interventions.cancel(gate.id, caller="ann", reason="test")
        with pytest.raises(AlreadyDecided):
            await running.keeper.push(gate.id, PUSHED, caller="ci")
