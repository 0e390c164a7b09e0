"""A ramp at all of the traffic: its baseline has none to compare with any more, and yet there is a verdict in time."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Replica, Script, replica, start_replica
from tests.unit.gates.engine.test_ramp import World, answered, live, ramping, request

OBSERVE = {"observe": {"min": "10s", "max": "2m"}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Both versions fail as often: at the very rate below which no ratio matters, so that nothing is proven soon."""
    world = World(0.005, base=0.005)
    world.traffic = 40.0
    live(world, monkeypatch)
    return world


def policy(**changes: Any) -> Any:
    return ramping({"budget": 60}, policy={**OBSERVE, **changes})


async def full(running: Replica) -> Gate:
    """The gate as soon as its candidate has all of the traffic."""
    started = await running.keeper.start(request(), caller="ci")
    for _ in range(500):
        gate = await running.keeper.wait(started.id, 2)
        if gate.is_answered or (gate.ramp is not None and gate.ramp.is_full):
            break
    assert gate.ramp is not None
    assert gate.ramp.is_full
    return gate


def after_full(gate: Gate) -> float:
    assert gate.ramp is not None
    assert gate.ramp.full_at is not None
    assert gate.decision is not None
    return (gate.decision.at - gate.ramp.full_at).total_seconds()


async def test_a_good_release_passes_within_its_time_at_full(file: Path, world: World) -> None:
    """The comparison of the ramp counts; the rest is the limit's."""
    async with replica(file, policy()) as running:
        gate = await full(running)
        assert gate.ramp is not None
        assert gate.ramp.full_at is not None
        assert gate.decides_by <= gate.ramp.full_at + timedelta(minutes=2, seconds=120)
        gate = await running.keeper.wait(gate.id, 7200)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.reason) == (Verdict.PASS, "no_evidence_of_harm")
        assert after_full(gate) <= 120
        assert gate.decision.at <= gate.decides_by
        assert "no proof of safety is in sight" in gate.decision.sentence
        assert gate.ramp is not None
        assert gate.ramp.share == 1.0


@pytest.mark.parametrize("traffic", [0.15, 2.0, 40.0])
async def test_a_budget_that_covers_everything_still_compares_once(file: Path, world: World, traffic: float) -> None:
    """With everything at once nothing would ever have been compared, and a good release could not pass."""
    world.traffic = traffic
    observe = {"observe": {"min": "10s", "max": "20m" if traffic < 1 else "2m"}}
    async with replica(file, ramping({"budget": 100_000}, policy=observe)) as running:
        gate = await answered(running)
        assert world.set == [0.5, 1.0]
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS


@pytest.mark.parametrize("later", [15.0, 60.0, 110.0])
async def test_the_time_counts_from_full_also_after_a_crash(file: Path, world: World, later: float) -> None:
    first = await start_replica(file, policy())
    gate = await full(first)
    await first.keeper.wait(gate.id, later)
    await first.crash()
    async with replica(file, policy()) as heir:
        gate = await heir.keeper.wait(gate.id, 7200)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS
        assert after_full(gate) <= 120 + 90


@pytest.mark.parametrize("later", [0.0, 60.0])
async def test_load_that_ends_is_no_pass(file: Path, world: World, later: float) -> None:
    """Silence proves nothing, however much was seen before it."""
    async with replica(file, policy()) as running:
        gate = await full(running)
        await running.keeper.wait(gate.id, later)
        Script.act = lambda _seconds: (Counts(0, 0), Counts(0, 0))
        gate = await running.keeper.wait(gate.id, 7200)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.reason) == (Verdict.INCONCLUSIVE, "traffic_lost")
        assert after_full(gate) <= 120 + 60 + 120


@pytest.mark.parametrize(("bad", "base"), [(0.2, 0.0), (0.5, 0.005)])
async def test_what_turns_bad_at_full_goes_back(file: Path, world: World, bad: float, base: float) -> None:
    world.base = base
    async with replica(file, policy()) as running:
        gate = await full(running)
        await running.keeper.wait(gate.id, 30)
        world.bad = lambda _seconds, _weight: bad
        gate = await running.keeper.wait(gate.id, 7200)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        assert after_full(gate) <= 120
