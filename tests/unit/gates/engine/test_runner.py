"""One gate's life, from start to verdict and beyond."""

from pathlib import Path

import pytest

from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.notifications import notices
from healthd_gates.store.outbox import Outbox
from tests.fakes.gates import (
    Act,
    Replica,
    Script,
    Scripted,
    broken,
    config,
    failing,
    hanging,
    healthy,
    later,
    replica,
    request,
    silent,
    unasked,
    unreachable,
)

HOLD = {"policy": {"inconclusive": "hold", "hold_timeout": "10m"}}
WATCH = {"policy": {"watch": "15m"}}


async def verdict(running: Replica, service: str = "api", version: str = "2.0") -> Gate:
    """A gate of the service, once it is answered."""
    started = await running.keeper.start(request(service, version), caller="ci")
    return await running.keeper.wait(started.id, 3600)


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
    """The verdict, the order for the rollback and the quarantine are stored together."""
    Script.act = later(60, healthy, broken)
    async with replica(file) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.FAIL, Verdict.FAIL)
        assert (gate.decision.at - gate.created_at).total_seconds() <= 90
        assert gate.state is GateState.ACTING
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.DUE
        orders = await Outbox(running.database, "worker").of_gate(gate.id)
        assert [(order.action, order.state) for order in orders] == [("back", OrderState.DUE)]
        assert [kept.version for kept in await running.keeper.locks.quarantined()] == ["2.0"]


async def test_an_outage_right_after_the_switch_does_not_wait_for_the_settle_time(file: Path) -> None:
    """A catastrophe decides at once."""
    Script.act = failing
    async with replica(file) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        assert (gate.decision.at - gate.created_at).total_seconds() <= 15


@pytest.mark.parametrize(
    ("act", "reason"),
    [(unreachable, "no_telemetry"), (hanging, "source_unavailable"), (silent, "no_traffic")],
    ids=["unreachable", "hanging", "no traffic"],
)
async def test_missing_numbers_never_fail_a_candidate(file: Path, act: Act, reason: str) -> None:
    """It is inconclusive, promotes nothing, orders no rollback and quarantines nothing."""
    Script.act = act
    async with replica(file) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.reason) == (Verdict.INCONCLUSIVE, reason)
        assert gate.decision.counts_as is Verdict.FAIL
        assert gate.rollback is None
        assert not await running.keeper.locks.quarantined()
        assert (gate.decision.at - gate.created_at).total_seconds() <= 340


async def test_an_outage_of_telemetry_in_the_middle_changes_no_verdict(file: Path) -> None:
    """What comes after it covers the gap."""
    Script.act = later(40, healthy, later(80, unreachable, healthy))
    async with replica(file) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.PASS
        assert gate.standing is not None
        assert gate.standing.gaps >= 7


async def test_a_silent_source_is_named_in_the_notes(file: Path) -> None:
    """Whoever looks at the gate sees why nothing comes."""
    Script.act = unreachable
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(started.id, 20)
        assert gate.notes == ("connection refused",)


async def test_an_inconclusive_gate_can_count_as_passed(file: Path) -> None:
    """Where the policy says so it promotes; the verdict says what it was."""
    Script.act = silent
    async with replica(file, config(policy={"inconclusive": "pass"})) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.PASS)


async def test_a_held_gate_waits_for_a_person_and_then_counts_as_failed(file: Path) -> None:
    """Nobody came within the time that the policy gives."""
    Script.act = silent
    async with replica(file, config(**HOLD)) as running:
        started = await running.keeper.start(request(), caller="ci")
        held = await running.keeper.wait(started.id, 600)
        assert held.state is GateState.HELD
        assert held.decision is None
        gate = await running.keeper.wait(started.id, 3600)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)


async def test_a_late_regression_in_the_watch_rolls_back(file: Path) -> None:
    """The pass stands, and the traffic goes back all the same."""
    Script.act = later(300, healthy, broken)
    async with replica(file, config(**WATCH)) as running:
        passed = await verdict(running)
        assert passed.state is GateState.WATCHING
        gate = await ended(running, passed, GateState.ACTING)
        assert gate.decision == passed.decision
        assert gate.rollback is not None
        assert gate.rollback.trigger == "watch"
        assert 300 <= (gate.rollback.at - gate.created_at).total_seconds() <= 350
        assert [kept.version for kept in await running.keeper.locks.quarantined()] == ["2.0"]


async def test_a_late_regression_is_told_where_healthd_rolls_nothing_back(file: Path) -> None:
    """The deploy may not stay, whoever asks; a person may still have healthd put the traffic back."""
    Script.act = later(300, healthy, broken)
    async with replica(file, config(**WATCH)) as running:
        started = await running.keeper.start(request(rollback="off"), caller="ci")
        assert (await running.keeper.wait(started.id, 3600)).may_stay
        gate = await ended(running, started, GateState.FINISHED)
        assert gate.rollback is not None
        assert (gate.rollback.state, gate.may_stay) == (RollbackState.LEFT, False)
        assert await running.keeper.orders(gate.id) == []
        pulled = await running.keeper.interventions.rollback(gate.id, caller="kim", reason="nobody else does")
        assert pulled.rollback is not None
        assert (pulled.rollback.state, pulled.rollback.round) == (RollbackState.DUE, 2)


async def test_a_quiet_watch_ends_by_itself(file: Path) -> None:
    """After the watch nothing is looked at any more."""
    async with replica(file, config(policy={"watch": "3m"})) as running:
        passed = await verdict(running)
        gate = await ended(running, passed, GateState.FINISHED)
        assert gate.finished_at is not None
        assert gate.watch_until is not None
        assert 0 <= (gate.finished_at - gate.watch_until).total_seconds() <= 10
        assert gate.rollback is None


@pytest.mark.parametrize("gone", [silent, unreachable])
@pytest.mark.parametrize(("on_loss", "state"), [(None, GateState.ACTING), ([], GateState.FINISHED)])
async def test_a_candidate_that_dies_loses_its_traffic(
    file: Path, gone: Act, on_loss: list[str] | None, state: GateState
) -> None:
    """It had traffic and went silent: no pass, an answer after minutes, and the traffic goes back unless told not to.
    Nothing is proven against the version, so that it may be tried again.
    """
    Script.act = later(60, healthy, gone)
    async with replica(file, config(policy={"on_loss": on_loss, "observe": {"max": "1h"}})) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
        assert gate.decision.reason in ("traffic_lost", "telemetry_lost")
        assert 180 <= (gate.decision.at - gate.created_at).total_seconds() <= 270
        assert gate.state is state
        assert not await running.keeper.locks.quarantined()


@pytest.mark.parametrize(
    ("on_loss", "state"), [(None, GateState.FINISHED), (["back"], GateState.ACTING)], ids=["by default", "asked for"]
)
async def test_a_source_that_cannot_be_asked_says_nothing_of_the_candidate(
    file: Path, on_loss: list[str] | None, state: GateState
) -> None:
    """One outage of Prometheus would take the traffic from every release that is judged meanwhile."""
    Script.act = later(60, healthy, unasked)
    async with replica(file, config(policy={"on_loss": on_loss, "observe": {"max": "1h"}})) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
        assert gate.decision.reason == "source_unavailable"
        assert gate.decision.sentence.startswith("The source cannot be asked, which says nothing of the candidate.")
        assert 180 <= (gate.decision.at - gate.created_at).total_seconds() <= 270
        assert gate.state is state


async def test_an_outage_after_the_candidate_has_fallen_silent_hides_no_loss(file: Path) -> None:
    """The source has said for longer than its numbers may be late that there are none of the candidate."""
    Script.act = later(60, healthy, later(170, silent, unasked))
    async with replica(file, config(policy={"observe": {"max": "1h"}})) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert gate.decision.reason in ("traffic_lost", "telemetry_lost")
        assert gate.state is GateState.ACTING


async def test_a_watch_that_hears_nothing_says_so(file: Path) -> None:
    """It rolls nothing back, for a night without customers looks the same; but it does not end as if all were well."""
    Script.act = later(120, healthy, unreachable)
    async with replica(file, config(policy={"watch": "5m"})) as running:
        passed = await verdict(running)
        gate = await ended(running, passed, GateState.FINISHED)
        assert gate.rollback is None
        log = [event async for event in running.keeper.events(gate.id)]
        assert "saw nothing" in log[-1].body["why"]
        assert any(notice.standing == f"blind {gate.id}" for step in running.steps for notice in notices(*step))


async def test_a_new_deploy_ends_the_watch_over_the_one_before(file: Path) -> None:
    """Rolling back to the old baseline would now undo the new deploy."""
    async with replica(file, config(**WATCH)) as running:
        passed = await verdict(running)
        await running.keeper.start(request(version="3.0"), caller="ci")
        assert (await running.keeper.get(passed.id)).state is GateState.FINISHED


async def test_no_rollback_where_none_is_wanted(file: Path) -> None:
    """`rollback: off` leaves the traffic to the caller."""
    Script.act = broken
    async with replica(file) as running:
        started = await running.keeper.start(request(rollback="off"), caller="ci")
        gate = await running.keeper.wait(started.id, 600)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.FAIL
        assert gate.state is GateState.FINISHED
        assert gate.rollback is None


async def test_every_look_is_in_the_log_in_order(file: Path) -> None:
    """The log is without holes, and the decision comes after the look that led to it."""
    async with replica(file) as running:
        gate = await verdict(running)
        events = [event async for event in running.keeper.events(gate.id)]
        assert [event.sequence for event in events] == list(range(1, gate.sequence + 1))
        kinds = [event.kind for event in events]
        assert kinds[0] is EventKind.STARTED
        assert kinds[-3:] == [EventKind.LOOK, EventKind.DECISION, EventKind.STATE]


async def test_ticks_do_not_drift(file: Path) -> None:
    """Looks come at even distances, however long each takes."""
    async with replica(file) as running:
        gate = await verdict(running)
        looks = [e.at async for e in running.keeper.events(gate.id) if e.kind is EventKind.LOOK]
        offsets = [(at - gate.created_at).total_seconds() % 5 for at in looks]
        assert max(offsets) - min(offsets) < 0.001


async def test_a_gate_that_stumbles_goes_on_and_one_that_keeps_stumbling_ends_inconclusive(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in healthd itself neither passes nor fails a candidate, and hangs no gate."""
    monkeypatch.setattr("healthd_gates.engine.runner.Judge.step", lambda *_: 1 / 0)
    async with replica(file) as running:
        gate = await verdict(running)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.reason) == (Verdict.INCONCLUSIVE, "internal")


async def test_a_gate_whose_service_is_gone_ends_inconclusive(file: Path) -> None:
    """After a restart with another configuration it does not hang for ever."""
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
    async with replica(file, config(services={})) as running:
        gate = await running.keeper.wait(started.id, 600)
        assert gate.decision is not None
        assert (gate.decision.verdict, gate.decision.reason) == (Verdict.INCONCLUSIVE, "configuration")


async def ended(running: Replica, gate: Gate, state: GateState) -> Gate:
    """The gate once it has come to that state."""
    async for _ in running.keeper.events(gate.id, after=gate.sequence):
        gate = await running.keeper.get(gate.id)
        if gate.state is state:
            break
    return gate


async def test_a_source_without_a_past_has_that_of_earlier_gates(file: Path) -> None:
    """What the gates of versions that stayed saw is stored with the next gate, once and in order; what was seen of a
    version that was put back is not."""
    async with replica(file, config(policy={"watch": "5m"})) as running:

        async def seen(gate: Gate, *stages: str) -> list[Evidence]:
            found = [await running.gates.gate_store.evidence(gate.id, stage) for stage in stages]
            return [evidence for each in found for evidence in each]

        first = await verdict(running)
        Script.act = broken
        bad = await verdict(running, version="2.1")
        assert bad.state is GateState.ACTING
        Script.act = healthy
        await running.keeper.interventions.give_up(bad.id, caller="ann", reason="by hand", done=True)
        last = await verdict(running, version="2.2")
        kept = await seen(first, "gate", "watch")
        assert len(kept) > 15
        assert await seen(first, "earlier") == []
        assert await seen(bad, "earlier") == kept
        assert await seen(last, "earlier") == kept


async def test_a_source_that_knows_no_version_before_has_that_of_earlier_gates(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Selectors that name the version find the past of the baseline that the request names; without one, none."""

    async def history(*_: object) -> list[Evidence]:
        return []

    monkeypatch.setattr(Scripted, "history", history, raising=False)
    async with replica(file) as running:
        first = await verdict(running)
        unnamed = await verdict(running, version="2.1")
        named = await running.keeper.start(request(version="2.2", baseline=Version(version="2.1")), caller="ci")
        await running.keeper.wait(named.id, 3600)
        store = running.gates.gate_store
        assert await store.evidence(unnamed.id, "earlier") == await store.evidence(first.id, "gate")
        assert await store.evidence(named.id, "earlier") == []
