"""One gate's life, from start to verdict and beyond."""

from pathlib import Path

from gates.gate import GateState
from gates.model import Verdict
from tests.unit.gates.stage import Script, broken, replica, request


async def test_a_healthy_candidate_passes(file: Path) -> None:
    """It settles, is observed for as long as the policy wants, and passes."""
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
        assert started.state is GateState.SETTLING
        gate = await running.keeper.wait(started.id, 600)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS
        assert gate.state is GateState.FINISHED
        assert 85 <= (gate.decision.at - gate.created_at).total_seconds() <= 100


async def test_a_broken_candidate_fails_and_its_rollback_is_ordered(file: Path) -> None:
    """The verdict and the order for the rollback are stored together."""
    Script.act = broken
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(started.id, 600)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        assert gate.state is GateState.ACTING
        assert gate.rollback is not None
