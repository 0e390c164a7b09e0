"""A gate that widens its release: from nothing to everything by evidence, and back at any weight."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import ActionRequest, ActionResult, Ending
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion, OrderState
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Note, NoteConfig, Replica, Script, config, over, replica, start_replica
from tests.fakes.gates import request as requested

COMPARE = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
POLICY = {"criteria": COMPARE, "ramp": {}, "confirm_timeout": "30s"}
TRAFFIC = 500.0  # requests a second
Rate = Callable[[float, float], float]


class World:
    """A balancer that does what its actions say, and the requests of both versions."""

    def __init__(self, bad: float = 0.0, *, base: float = 0.0) -> None:
        self.weight = 0.0
        self.bad: Rate = lambda _seconds, _weight: bad
        self.base = base
        self.traffic = TRAFFIC
        self.share: Callable[[float], float] = lambda weight: weight
        self.set: list[float] = []
        self.harmed = 0.0

    def act(self, order: ActionRequest) -> ActionResult:
        assert order.weight is not None
        self.weight = order.weight
        self.set.append(order.weight)
        return ActionResult(Ending.DONE, f"weight {order.weight}")

    def counts(self, seconds: float) -> tuple[Counts | None, Counts | None]:
        share = self.share(self.weight)
        n, m = self.traffic * 5 * share, self.traffic * 5 * (1 - share)
        bad = n * self.bad(seconds, self.weight)
        self.harmed += max(0.0, bad - n * self.base)
        return (Counts(n, bad) if n else None, Counts(m, m * self.base))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A healthy release in a world that obeys."""
    world = World()
    live(world, monkeypatch)
    return world


def live(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Note, "act", lambda order: world.act(order))
    monkeypatch.setattr(NoteConfig, "sets_weight", property(lambda _: True))
    Script.act = world.counts


def ramping(ramp: dict[str, Any] | None = None, **changes: Any) -> Config:
    policy = POLICY | {"ramp": ramp or {}} | changes.pop("policy", {})
    return config(policy=policy, service={"on_ramp": ["back"], "on_fail": [], **changes.pop("service", {})}, **changes)


def request(**changes: Any) -> VerifyRequest:
    return requested(baseline=Version(version="1.0"), **changes)


async def answered(running: Replica, **changes: Any) -> Gate:
    started = await running.keeper.start(request(**changes), caller="ci")
    return await running.keeper.wait(started.id, 7200)


def ascends(weights: list[float], most: float = 4.0) -> bool:
    return all(low < high <= most * low + 1e-4 for low, high in pairwise(weights))


async def test_a_good_release_reaches_everything_and_passes(file: Path, world: World) -> None:
    """Step by step, each an order of its own, and a pass only after the shortest time at all of the traffic."""
    async with replica(file, ramping()) as running:
        gate = await answered(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.state) == (Verdict.PASS, GateState.FINISHED)
        assert gate.ramp is not None
        assert gate.ramp.full_at is not None
        assert (gate.decision.at - gate.ramp.full_at).total_seconds() >= 60
        assert (gate.ramp.full_at - gate.created_at).total_seconds() <= 150
        assert world.set[-1] == 1.0
        assert ascends(world.set)
        orders = await running.keeper.orders(gate.id)
        assert [order.weight for order in orders] == world.set
        assert {(order.occasion, order.state) for order in orders} == {(Occasion.RAMP, OrderState.DONE)}
        assert [order.key.split(":")[1] for order in orders] == [f"ramp-{step + 1}" for step in range(len(orders))]
        states = [e.body["state"] async for e in running.keeper.events(gate.id) if e.kind is EventKind.STATE]
        assert states == ["ramping", "observing", "finished"]


@pytest.mark.parametrize("bad", [1.0, 0.1])
async def test_a_bad_release_is_back_at_nothing_within_the_budget(file: Path, world: World, bad: float) -> None:
    world.bad = lambda _seconds, _weight: bad
    async with replica(file, ramping({"budget": 300})) as running:
        gate = await answered(running)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        gate = await over(running, gate)
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.ROLLED_BACK
        assert world.set[-1] == world.weight == 0.0
        assert world.harmed <= 300
        last = (await running.keeper.orders(gate.id))[-1]
        assert (last.occasion, last.weight, last.key.split(":")[1]) == (Occasion.FAIL, 0.0, "rollback")


async def test_harm_at_any_weight_goes_back(file: Path, world: World) -> None:
    """A release that breaks under load: the wider it is, the later it shows."""
    world.bad = lambda _seconds, weight: 0.3 if weight > 0.1 else 0.0
    async with replica(file, ramping()) as running:
        gate = await over(running, await answered(running))
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.ROLLED_BACK
        assert max(world.set) > 0.1
        assert world.set[-1] == 0.0


async def test_fixed_steps_come_one_after_the_other(file: Path, world: World) -> None:
    async with replica(file, ramping({"steps": ["1%", "5%", "25%"]})) as running:
        gate = await answered(running)
        assert world.set == [0.01, 0.05, 0.25, 1.0]
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS


async def test_low_traffic_gets_half_and_then_everything(file: Path, world: World) -> None:
    """Where the budget covers all that can happen until the way back, half compares it, and the rest follows."""
    world.traffic = 1.0
    async with replica(file, ramping({"budget": 200})) as running:
        await answered(running)
        assert world.set == [0.5, 1.0]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda world: setattr(world, "base", 0.3), "baseline"),
        (lambda world: setattr(world, "share", lambda weight: min(weight, 0.02)), "does not follow"),
        (lambda world: setattr(world, "share", lambda weight: min(1.0, weight + 0.3)), "does not follow"),
    ],
    ids=["bad baseline", "sticky callers", "more than its weight"],
)
async def test_it_stops_without_narrowing_and_ends_as_the_policy_says(
    file: Path, world: World, spoil: Callable[[World], None], says: str
) -> None:
    spoil(world)
    if "baseline" in says:
        world.bad = lambda _seconds, _weight: 0.3
    async with replica(file, ramping({"timeout": "5m"})) as running:
        gate = await answered(running)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.INCONCLUSIVE
        assert says in gate.decision.sentence
        assert ascends(world.set)
        assert (gate.decision.at - gate.created_at).total_seconds() <= 345
        gate = await over(running, gate)
        assert world.set[-1] == 0.0


class Sticky(World):
    """Callers that leave their version one by one: each look the share comes a third nearer to the weight."""

    def __init__(self, bad: float = 0.0) -> None:
        super().__init__(bad)
        self._now = 0.0
        self.share = self._moved

    def _moved(self, weight: float) -> float:
        self._now += (weight - self._now) / 3
        return weight if abs(weight - self._now) < 0.002 else self._now


@pytest.mark.parametrize(("bad", "verdict", "last"), [(0.0, Verdict.PASS, 1.0), (0.1, Verdict.FAIL, 0.0)])
async def test_callers_that_follow_slowly_are_waited_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, bad: float, verdict: Verdict, last: float
) -> None:
    """Each weight is seen before the next: a good release gets everything, and a bad one harms its budget at most."""
    world = Sticky(bad)
    live(world, monkeypatch)
    async with replica(file, ramping({"budget": 300})) as running:
        gate = await over(running, await answered(running))
        assert gate.decision is not None
        assert gate.decision.verdict is verdict, gate.decision
        assert (world.set[-1], ascends(world.set[:-1])) == (last, True)
        assert world.harmed <= 1.5 * 300


async def test_harm_goes_back_though_the_balancer_gives_more_than_it_is_told(file: Path, world: World) -> None:
    """What the requests met is judged, whatever the weight was: no pass, and no further step."""
    world.bad, world.share = (lambda _seconds, _weight: 0.1), (lambda weight: min(1.0, weight + 0.3) if weight else 0.0)
    async with replica(file, ramping({"budget": 300})) as running:
        gate = await over(running, await answered(running))
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        assert (len(world.set), world.set[-1]) == (2, 0.0)


async def test_a_release_that_has_the_traffic_already_is_not_narrowed(file: Path, world: World) -> None:
    """Somebody has switched before: that is said, and nothing is ordered."""
    world.share = lambda _weight: 1.0
    Script.act = lambda _seconds: (Counts(2500, 0), Counts(100, 0))
    async with replica(file, ramping()) as running:
        started = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(started.id, 90)
        assert gate.ramp is not None
        assert "leave the switch to it" in gate.ramp.held
        assert world.set == []


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("reports", [True, False], ids=["a process that counts nothing", "no process"])
@pytest.mark.parametrize("alive", [0.0, 60.0])
async def test_a_release_that_answers_nobody_is_back_at_nothing_within_the_budget(
    file: Path, world: World, alive: float, reports: bool, lenient: bool
) -> None:
    """A black hole, or a crash: what is due to it is harmed, although no source counts it. No policy lets that pass."""
    lost = 0.0

    def act(seconds: float) -> Any:
        nonlocal lost
        candidate, baseline = world.counts(seconds)
        if seconds <= alive or candidate is None:
            return candidate, baseline
        lost += candidate.requests
        return Counts(0, 0) if reports else None, baseline

    Script.act = act
    policy = {"inconclusive": "pass" if lenient else "fail"}
    async with replica(file, ramping({"budget": 300}, policy=policy)) as running:
        gate = await over(running, await answered(running))
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
        assert "No request of the candidate was counted" in gate.decision.sentence
        assert world.set[-1] == 0.0
        assert alive or lost <= 1.5 * 300
        assert lost <= max(world.set) * TRAFFIC * 60


async def test_numbers_that_both_do_not_send_are_no_silence_of_the_candidate(file: Path, world: World) -> None:
    """Prometheus is away for a minute and a half: the ramp waits, and goes on."""

    def act(seconds: float) -> Any:
        both = world.counts(seconds)
        return (None, None) if 45 <= seconds < 135 else both

    Script.act = act
    async with replica(file, ramping()) as running:
        gate = await answered(running)
        assert gate.may_stay
        assert world.set[-1] == 1.0


async def test_an_inconclusive_ramp_that_counts_as_passed_gets_everything(file: Path, world: World) -> None:
    world.share = lambda weight: min(weight, 0.02)
    async with replica(file, ramping({"timeout": "3m"}, policy={"inconclusive": "pass"})) as running:
        gate = await over(running, await answered(running))
        assert gate.may_stay
        assert (await running.keeper.orders(gate.id))[-1].weight == 1.0


async def test_an_action_that_cannot_set_the_weight_ends_it(file: Path, world: World) -> None:
    world.act = lambda order: ActionResult(Ending.REFUSED, "no such upstream")  # type: ignore[method-assign]
    async with replica(file, ramping()) as running:
        gate = await answered(running)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.INCONCLUSIVE
        assert "no such upstream" in gate.decision.sentence


async def test_a_person_cancels_it_where_it_is(file: Path, world: World) -> None:
    """Neither wider nor back: what is due then is not carried out."""
    async with replica(file, ramping({"steps": ["1%", "2%"]})) as running:
        started = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(started.id, 20)
        gate = await running.keeper.interventions.cancel(started.id, caller="kim", reason="not today")
        assert gate.state is GateState.CANCELLED
        assert world.set == [0.01]
        assert all(order.state is not OrderState.DUE for order in await running.keeper.orders(gate.id))


async def test_a_person_rolls_it_back(file: Path, world: World) -> None:
    async with replica(file, ramping()) as running:
        started = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(started.id, 60)
        (would,) = await running.keeper.rehearse(started.id)
        assert would.action == "back"
        gate = await over(
            running, await running.keeper.interventions.rollback(started.id, caller="kim", reason="the graphs")
        )
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.ROLLED_BACK
        assert world.set[-1] == 0.0


async def test_the_caller_cannot_keep_the_rollback(file: Path, world: World) -> None:
    async with replica(file, ramping()) as running:
        with pytest.raises(InvalidRequest, match="takes it back itself"):
            await running.keeper.start(request(rollback="off"), caller="ci")
        with pytest.raises(InvalidRequest, match="baseline"):
            await running.keeper.start(requested(), caller="ci")
        assert world.set == []


@pytest.mark.parametrize("at", [3, 8, 38, 43, 58, 90])
async def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(file: Path, world: World, at: float) -> None:
    """Never wider than the journal says; each step has one effect; the heir goes on where it was."""
    seen: list[tuple[str, float]] = []
    act = world.act

    def noted(order: ActionRequest) -> ActionResult:
        assert order.weight is not None
        seen.append((order.key, order.weight))
        return act(order)

    world.act = noted  # type: ignore[method-assign]
    first = await start_replica(file, ramping())
    started = await first.keeper.start(request(), caller="ci")
    await first.keeper.wait(started.id, at)
    await first.crash()
    async with replica(file, ramping()) as heir:
        gate = await heir.keeper.wait(started.id, 7200)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS
        orders = await heir.keeper.orders(gate.id)
        assert dict(seen) == {order.key: order.weight for order in orders}
        assert ascends([order.weight or 0.0 for order in orders])
        assert [weight for _, weight in dict.fromkeys(seen)] == sorted(weight for _, weight in dict.fromkeys(seen))
        assert world.weight == 1.0


@pytest.mark.parametrize(("bad", "verdict"), [(0.0, Verdict.PASS), (0.1, Verdict.FAIL)])
async def test_traffic_that_triples_in_the_middle(file: Path, world: World, bad: float, verdict: Verdict) -> None:
    """The budget holds for the traffic that came: of three times as much no more than three times as much is harmed."""

    def grows(seconds: float, _weight: float) -> float:
        world.traffic = 3 * TRAFFIC if seconds >= 35 else TRAFFIC
        return bad

    world.bad = grows
    async with replica(file, ramping({"budget": 300})) as running:
        gate = await answered(running)
        assert gate.decision is not None
        assert gate.decision.verdict is verdict
        gate = await over(running, gate)
        assert world.harmed <= 1.5 * 300
        assert world.set[-1] == (1.0 if verdict is Verdict.PASS else 0.0)
