"""A ramp that a person stops where it is, or whose policy asks one before a weight."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from healthd_gates.domain.errors import InvalidRequest, NotRamping
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.ramp import Pause, Ramp
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine.notifications import notices
from healthd_gates.engine.ramp_pauses import may_resume, resume
from tests.fakes.gate_states import RUNNING
from tests.fakes.gates import Replica, over, replica, start_replica
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.gates.engine.test_ramp import World, ramping, request, world

__all__ = ["world"]
MARKS = {"pause_before": ["25%", "100%"]}


async def waited(running: Replica, gate: Gate, seconds: float) -> Gate:
    return await running.keeper.wait(gate.id, seconds)


async def test_a_person_is_asked_before_the_marks(file: Path, world: World) -> None:
    """The widening stops below each mark until a person lets it go on, which is in the log and told."""
    async with replica(file, ramping(MARKS)) as running:
        gate = await waited(running, await running.keeper.start(request(), caller="ci"), 300)
        assert gate.ramp is not None
        assert gate.ramp.pause is not None
        assert (gate.ramp.pause.number, gate.ramp.pause.before) == (1, 0.25)
        assert max(world.set) < 0.25
        await running.keeper.interventions.resume(gate.id, caller="kim", reason="the graphs are fine", pause=1)
        gate = await waited(running, gate, 300)
        assert gate.ramp is not None
        assert gate.ramp.pause is not None
        assert (gate.ramp.pause.number, gate.ramp.held) == (2, "it waits for a person before 100 %")
        assert 0.25 <= max(world.set) < 1.0
        late = await running.keeper.interventions.resume(gate.id, caller="kim", reason="the first call again", pause=1)
        assert late.ramp is not None
        assert late.ramp.pause == gate.ramp.pause
        await running.keeper.interventions.resume(gate.id, caller="kim", reason="go")
        gate = await over(running, gate)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS
        assert world.set[-1] == 1.0
        events = [event async for event in running.keeper.events(gate.id)]
        marks = [event.body for event in events if event.kind is EventKind.RAMP and "from" not in event.body]
        assert [body.get("pause") or body["resume"] for body in marks] == [1, 1, 2, 2]


async def test_nobody_lets_it_go_on(file: Path, world: World) -> None:
    """Then it ends inconclusive at its time and goes back to nothing, also under a policy that passes what is open."""
    config = ramping({"timeout": "10m", **MARKS}, policy={"inconclusive": "pass"})
    async with replica(file, config) as running:
        gate = await over(running, await running.keeper.start(request(), caller="ci"))
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
        assert "it waits for a person before 25 %" in gate.decision.sentence
        assert world.set[-1] == 0.0


async def test_harm_in_a_pause_goes_back(file: Path, world: World) -> None:
    """It stops the widening and nothing else."""
    async with replica(file, ramping()) as running:
        gate = await waited(running, await running.keeper.start(request(), caller="ci"), 45)
        paused = await running.keeper.interventions.pause(gate.id, caller="kim", reason="a talk on stage")
        assert paused.ramp is not None
        again = await running.keeper.interventions.pause(gate.id, caller="ann", reason="me too")
        assert again.ramp is not None
        assert again.ramp.pause == paused.ramp.pause
        widest = paused.ramp.weight
        gate = await waited(running, gate, 300)
        assert gate.ramp is not None
        assert gate.ramp.held == "kim has paused it: a talk on stage"
        assert max(world.set) == widest
        world.bad = lambda _seconds, _weight: 0.5
        gate = await over(running, gate)
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.ROLLED_BACK
        assert world.set[-1] == 0.0


async def test_a_pause_outlives_a_kill(file: Path, world: World) -> None:
    first = await start_replica(file, ramping())
    started = await first.keeper.start(request(), caller="ci")
    await first.keeper.wait(started.id, 45)
    paused = await first.keeper.interventions.pause(started.id, caller="kim", reason="a talk")
    assert paused.ramp is not None
    await first.keeper.wait(started.id, 12)  # it runs again: what is cut off in SQLite's thread would bend virtual time
    await first.crash()
    async with replica(file, ramping()) as heir:
        gate = await heir.keeper.wait(started.id, 300)
        assert gate.ramp is not None
        assert gate.ramp.pause == paused.ramp.pause
        assert world.weight == paused.ramp.weight
        assert gate.decision is None
        await heir.keeper.interventions.resume(gate.id, caller="kim", reason="done")
        gate = await over(heir, gate)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS


async def test_what_widens_nothing_is_not_paused(file: Path, world: World) -> None:
    """A gate at all of the traffic, or one that is over."""
    async with replica(file, ramping()) as running:
        gate = await over(running, await running.keeper.start(request(), caller="ci"))
        for call in (running.keeper.interventions.pause, running.keeper.interventions.resume):
            with pytest.raises(NotRamping, match="widens nothing"):
                await call(gate.id, caller="kim", reason="x")


STANDING = Standing(MIDNIGHT, 60.0, None, Reason.OBSERVING, "It goes on.", 0.0, 4.6, ())
RAMP = Ramp(until=MIDNIGHT + timedelta(hours=1), weight=0.2, step=2, budget=100.0)
GATE = replace(RUNNING, state=GateState.RAMPING, ramp=RAMP, standing=STANDING)


def test_a_pause_that_is_not_there_yet_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="there is no pause 3, so far there were 0"):
        may_resume(GATE, 3)
    assert not may_resume(GATE, None)


def test_what_is_told() -> None:
    """That it waits and for what, that it goes on, and what has held it for minutes; each once."""
    pause = Pause(1, MIDNIGHT, before=0.25)
    waits = replace(GATE, ramp=replace(RAMP, pause=pause, pauses=1, held=pause.sentence))
    (asked,) = notices(GATE, waits)
    assert asked.summary == "api 2.0 waits for a person before it gets 25 % of the traffic"
    assert "healthd gate resume g1 --reason" in asked.detail
    assert list(notices(waits, waits)) == []
    (goes_on,) = notices(waits, resume(waits, "kim", "fine").gate)
    assert (goes_on.firing, goes_on.summary) == (False, "api 2.0 goes on")
    holds = replace(GATE, ramp=replace(RAMP, held="the traffic does not follow", held_since=MIDNIGHT))
    later = replace(holds, standing=replace(STANDING, at=MIDNIGHT + timedelta(minutes=3)))
    assert list(notices(GATE, holds)) == []
    (held,) = notices(holds, later)
    assert held.summary == "api 2.0 is held at 20 % of the traffic"
    assert "the traffic does not follow" in held.detail
    (free,) = notices(later, replace(later, ramp=RAMP))
    assert not free.firing
