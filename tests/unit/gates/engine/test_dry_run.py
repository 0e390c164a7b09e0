"""What a rollback would do now, and nothing of it is done."""

from pathlib import Path

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.config.settings import Config
from healthd_gates.engine.dry_run import rehearse
from tests.fakes.gates import Note, over, replica, request


async def test_each_action_says_what_it_would_do(file: Path) -> None:
    """And that it does nothing more once it was called for, or is gone from the configuration."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        [action] = await running.keeper.rehearse(gate.id)
        assert (action.action, action.kind, action.would) == ("back", "note", "note 2.0")
        assert Note.tried == []
        Note.act = lambda _order: ActionResult(Ending.DONE, "back")
        called = await running.keeper.interventions.rollback(gate.id, caller="ann", reason="it is bad")
        [action] = await running.keeper.rehearse(called.id)
        assert action.would == "nothing more: it was called for already, and is due"
        await over(running, called)


async def test_an_action_that_is_gone_does_nothing(file: Path) -> None:
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        supervisor = running.keeper._supervisor
        owned = await supervisor.seize(gate.id)
        assert owned is not None
        spec, bare = supervisor.spec_of(owned), Config.model_validate({"gates": {"lease_duration": "60s"}})
        [action] = await rehearse(gate, spec, bare, running.keeper._attempts, frozenset())
        assert (action.kind, action.would) == (None, "nothing: it is not configured any more")
