"""A rollback from the verdict to its end: carried out, tried again, confirmed, given up, in virtual time."""

import asyncio
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd_gates.actions.contract import ActionRequest, ActionResult, Ending
from healthd_gates.actions.executor import Attempts
from healthd_gates.domain.action_order import Departed, Occasion, OrderState
from healthd_gates.domain.errors import ServiceBusy
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Version
from tests.fakes.gates import (
    Note,
    Replica,
    Script,
    broken,
    config,
    healthy,
    later,
    over,
    replica,
    request,
    start_replica,
)

BASELINE = Version(version="1.0")
THREE = {"actions": {name: {"kind": "note"} for name in ("back", "tell", "page")}}
DONE = ActionResult(Ending.DONE, "switched")


def always(outcome: ActionResult) -> Callable[[ActionRequest], ActionResult]:
    return lambda _order: outcome


def downtime(running: Replica, seconds: float) -> Callable[[ActionRequest], ActionResult]:
    """A receiver that answers 503 for so long, and then does as it is told."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    return lambda _order: DONE if loop.time() >= end else ActionResult(Ending.RETRY, "503")


WATCHED = {"watch": "1h", "interval": "30s"}
"""A watch of few looks: each costs real time, as does each hour."""


def switched_back(after: Counts, candidate: float = 0.0) -> Callable[[float], Any]:
    """A candidate that fails until an action was carried out; then the baseline has the traffic."""

    def act(_seconds: float) -> tuple[Counts, Counts]:
        if Note.tried:
            return Counts(candidate, 0), after
        return Counts(1000, 500), Counts(0, 0)

    return act


async def finished(running: Replica, **asked: Any) -> Gate:
    """A gate that fails, once it is over."""
    started = await running.keeper.start(request(**{"baseline": BASELINE, **asked}), caller="ci")
    return await over(running, started)


async def log_of(running: Replica, gate: Gate, kind: EventKind) -> list[GateEvent]:
    return [event for event in await running.gates.gate_store.events(gate.id, 0, limit=10_000) if event.kind is kind]


def rollback_of(gate: Gate) -> Rollback:
    assert gate.rollback is not None
    return gate.rollback


async def test_only_what_was_lost_of_a_rollback_is_carried_out_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer that was reloaded is told again; whoever else went back once would go back too far."""
    Script.act, Note.act = switched_back(Counts(1000, 2)), always(DONE)

    async def departed(_self: Note, order: ActionRequest, _ago: float, _right: object) -> Departed | None:
        tried = [each.action for each in Note.tried]
        lost = order.action == "back" and tried.count("back") == 1
        return Departed("the balancer has begun anew", is_forgotten=True) if lost else None

    monkeypatch.setattr(Note, "departed", departed, raising=False)
    async with replica(file, config(service={"on_fail": ["tell", "back"]}, **THREE)) as running:
        gate = await finished(running)
        assert [each.action for each in Note.tried] == ["tell", "back", "back"]
        assert len({each.key for each in Note.tried}) == 3
        assert (rollback_of(gate).state, rollback_of(gate).round) == (RollbackState.ROLLED_BACK, 2)


async def test_each_action_is_looked_at_until_the_rollback_is_confirmed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two balancers the one begins anew, and once it was told again the other one does."""
    Script.act, Note.act = switched_back(Counts(1000, 2)), always(DONE)

    async def departed(_self: Note, order: ActionRequest, _ago: float, _right: object) -> Departed | None:
        tried = [each.action for each in Note.tried]
        lost = {"back": tried.count("back") == 1, "tell": tried == ["tell", "back", "back"]}[order.action]
        return Departed("the balancer has begun anew", is_forgotten=True) if lost else None

    monkeypatch.setattr(Note, "departed", departed, raising=False)
    async with replica(file, config(service={"on_fail": ["tell", "back"]}, **THREE)) as running:
        gate = await finished(running)
        assert [each.action for each in Note.tried] == ["tell", "back", "back", "tell"]
        assert (rollback_of(gate).state, rollback_of(gate).round) == (RollbackState.ROLLED_BACK, 3)


async def test_who_takes_a_gate_over_knows_when_its_balancers_were_right(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that somebody sets after a reload which kept them would else be taken for forgotten ones."""
    Script.act, Note.act = broken, always(DONE)
    seen: list[tuple[float, dict[str, float]]] = []

    async def departed(
        _self: Note, _order: ActionRequest, _ago: float, right: MutableMapping[str, float]
    ) -> Departed | None:
        now = asyncio.get_running_loop().time()
        seen.append((now, dict(right)))
        right["/run/one.sock"] = now
        return None

    monkeypatch.setattr(Note, "departed", departed, raising=False)
    async with replica(file, config(policy={"confirm_timeout": "10m"})) as running:
        gate = await running.keeper.start(request(baseline=BASELINE), caller="ci")
        while len(seen) < 3:
            await asyncio.sleep(1)
    before = seen[-1][0]
    seen.clear()
    async with replica(file, config(policy={"confirm_timeout": "10m"})):
        while not seen:
            await asyncio.sleep(1)
        at = seen[0][1]["/run/one.sock"]
    assert at == pytest.approx(before, abs=6.0), gate.id


@pytest.mark.parametrize("behind", [-timedelta(days=2), timedelta(days=2)], ids=["behind", "ahead"])
async def test_an_order_is_as_old_as_the_journals_clock_says(
    file: Path, monkeypatch: pytest.MonkeyPatch, behind: timedelta
) -> None:
    """On a host whose clock goes otherwise than PostgreSQL's a rollback would be too late to begin, or never given
    up."""
    moment = Database.moment

    async def of_the_server(database: Database, connection: AsyncConnection) -> datetime:
        return await moment(database, connection) - behind

    monkeypatch.setattr(Database, "moment", of_the_server)
    Script.act, Note.act = broken, always(ActionResult(Ending.RETRY, "503"))
    actions = {"actions": {"back": {"kind": "note", "retry_for": "10m"}}}
    async with replica(file, config(**actions)) as running:
        began = asyncio.get_running_loop().time()
        gate = await finished(running)
        assert len(Note.tried) > 10
        assert rollback_of(gate).state is RollbackState.FAILED
        assert 580 < asyncio.get_running_loop().time() - began < 900


async def test_a_balancer_that_begins_anew_again_and_again_keeps_no_rollback_open(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to confirm counts from the first round: somebody is told that nothing holds there."""
    Script.act, Note.act = broken, always(DONE)

    async def departed(_self: Note, _order: ActionRequest, ago: float, _right: object) -> Departed | None:
        return Departed("the balancer has begun anew", is_forgotten=True) if ago > 20 else None

    monkeypatch.setattr(Note, "departed", departed, raising=False)
    async with replica(file, config(service={"on_fail": ["back"]}, **THREE)) as running:
        gate = await finished(running)
        assert rollback_of(gate).state is RollbackState.UNCONFIRMED
        assert 2 < len(Note.tried) < 20


async def test_an_action_is_told_which_versions_failed(file: Path) -> None:
    """The candidate among them: what is brought back must be none of those."""
    Script.act, Note.act = switched_back(Counts(1000, 2)), always(DONE)
    async with replica(file) as running:
        await finished(running)
        assert [order.quarantined for order in Note.tried] == [frozenset({"2.0"})]


async def test_a_failed_candidate_is_rolled_back_and_the_baseline_seen_to_recover(file: Path) -> None:
    """The gate tells each step, and holds its service until the baseline has the traffic."""
    Script.act, Note.act = switched_back(Counts(1000, 2)), always(DONE)
    async with replica(file) as running:
        gate = await finished(running)
        assert rollback_of(gate).state is RollbackState.ROLLED_BACK
        assert rollback_of(gate).detail == "The baseline has the traffic: 2,000 requests, 4 of them failed."
        told = [event.body["state"] for event in await log_of(running, gate, EventKind.ROLLBACK)]
        assert list(dict.fromkeys(told)) == ["due", "confirming", "rolled_back"]
        counted = [
            (sample.labels["state"], sample.value)
            for metric in running.registry.collect()
            for sample in metric.samples
            if sample.name == "healthd_gate_rollbacks_total"
        ]
        assert counted == [("due", 1), ("confirming", 1), ("rolled_back", 1)]
        (tried,) = await log_of(running, gate, EventKind.ACTION)
        assert tried.body["state"] == "done"
        assert (tried.body["try"], tried.body["detail"]) == (1, "switched")
        numbers = [event.sequence for event in await running.gates.gate_store.events(gate.id, 0)]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("act", "asked", "detail"),
    [
        (switched_back(Counts(1000, 100)), {}, "10.0% of its requests failed, which is more than 5.0%"),
        (switched_back(Counts(1000, 0), candidate=300), {}, "the candidate still has 23% of the requests"),
        (switched_back(Counts(0, 0)), {}, "there is no traffic"),
        (broken, {}, "the baseline sends no numbers"),
        (broken, {"baseline": None}, "the request names no baseline"),
    ],
    ids=["baseline fails", "candidate has traffic", "no traffic", "no numbers", "no baseline"],
)
async def test_what_nobody_could_see_is_not_called_rolled_back(
    file: Path, act: Any, asked: dict[str, Any], detail: str
) -> None:
    """The gate ends `rollback_unconfirmed` after the policy's time, and says what is missing."""
    Script.act, Note.act = act, always(DONE)
    async with replica(file, config(policy={"confirm_timeout": "1m"})) as running:
        gate = await finished(running, **asked)
        assert rollback_of(gate).state is RollbackState.UNCONFIRMED
        assert detail in (rollback_of(gate).detail or "")
        if rollback_of(gate).confirm_until is not None and gate.finished_at is not None:
            (done,) = await log_of(running, gate, EventKind.ACTION)
            assert 60 <= (gate.finished_at - done.at).total_seconds() <= 70


async def test_a_candidate_that_was_stopped_is_rolled_back_once_the_baseline_has_its_traffic(file: Path) -> None:
    """It sends no numbers any more; the baseline must take about as many requests as it had."""

    def act(_seconds: float) -> Any:
        return (None, Counts(900, 0)) if Note.tried else Counts(1000, 500)

    Script.act, Note.act = act, always(DONE)
    async with replica(file) as running:
        assert rollback_of(await finished(running)).state is RollbackState.ROLLED_BACK


async def test_a_receiver_that_is_down_for_long_is_told_when_it_comes_back(file: Path) -> None:
    """Within a minute or so; the tries are in the log, fewer and fewer of them, all under the same key."""
    Script.act = switched_back(Counts(1000, 0))
    async with replica(file) as running:
        Note.act = downtime(running, 900)
        gate = await finished(running)
        assert rollback_of(gate).state is RollbackState.ROLLED_BACK
        tries = await log_of(running, gate, EventKind.ACTION)
        assert [event.body["state"] for event in tries] == ["due"] * (len(tries) - 1) + ["done"]
        assert 45 <= len(tries) <= 90
        assert (tries[-1].at - tries[0].at).total_seconds() <= 900 + 60
        assert len({order.key for order in Note.tried}) == 1


async def test_the_gate_tells_the_truth_while_its_receiver_is_down(file: Path) -> None:
    """It is acting, its rollback due, and the order says what went wrong and when it is tried again."""
    Script.act = broken
    async with replica(file) as running:
        Note.act = downtime(running, 3600)
        started = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(started.id, 600)
        await asyncio.sleep(600)
        gate = await running.keeper.get(started.id)
        assert (gate.state, rollback_of(gate).state) == (GateState.ACTING, RollbackState.DUE)
        (order,) = await running.gates.outbox.of_gate(gate.id)
        assert (order.state, order.detail) == (OrderState.DUE, "503")
        assert 0 < (order.next_try_at - running.gates.gate_store._clock.now()).total_seconds() <= 60


async def test_an_action_that_hangs_is_tried_again(file: Path) -> None:
    """Each try ends at the action's timeout."""
    Script.act = switched_back(Counts(1000, 0))

    async def second_time(_order: ActionRequest) -> ActionResult:
        await asyncio.sleep(3600 if len(Note.tried) == 1 else 0)
        return DONE

    Note.act = second_time
    async with replica(file) as running:
        gate = await finished(running)
        first, second = await log_of(running, gate, EventKind.ACTION)
        assert first.body["detail"] == "no answer within 30 s"
        assert second.body["state"] == "done"


async def test_a_receiver_that_asks_for_time_gets_it(file: Path) -> None:
    """The next try comes no sooner than the receiver said."""
    Script.act = switched_back(Counts(1000, 0))
    Note.act = lambda _order: DONE if len(Note.tried) > 1 else ActionResult(Ending.RETRY, "429", after=300)
    async with replica(file) as running:
        gate = await finished(running)
        first, second = await log_of(running, gate, EventKind.ACTION)
        assert 300 <= (second.at - first.at).total_seconds() <= 303


async def test_an_action_is_given_up_after_its_time(file: Path) -> None:
    """The rollback has failed, and says at what."""
    Script.act, Note.act = broken, always(ActionResult(Ending.RETRY, "503"))
    async with replica(file, config(actions={"back": {"kind": "note", "retry_for": "10m"}})) as running:
        gate = await finished(running)
        assert rollback_of(gate).state is RollbackState.FAILED
        assert rollback_of(gate).detail == "back was given up: 503"
        assert gate.finished_at is not None
        assert 500 <= (gate.finished_at - rollback_of(gate).at).total_seconds() <= 605


async def test_the_actions_of_a_gate_come_one_after_the_other(file: Path) -> None:
    """In the order of the configuration, each once the one before is done."""
    Script.act = switched_back(Counts(1000, 0))
    under_way: list[str] = []

    async def slow(order: ActionRequest) -> ActionResult:
        assert not under_way
        under_way.append(order.action)
        await asyncio.sleep(7)
        under_way.remove(order.action)
        return DONE

    Note.act = slow
    async with replica(file, config(**THREE, service={"on_fail": ["back", "tell", "page"]})) as running:
        await finished(running)
        assert [order.action for order in Note.tried] == ["back", "tell", "page"]


async def test_what_was_to_follow_an_action_that_is_refused_is_not_tried(file: Path) -> None:
    """It may build on it; the rollback has failed, and a person is told so."""
    Script.act = broken
    Note.act = lambda order: ActionResult(Ending.REFUSED, "403") if order.action == "tell" else DONE
    async with replica(file, config(**THREE, service={"on_fail": ["back", "tell", "page"]})) as running:
        gate = await finished(running)
        assert (rollback_of(gate).state, rollback_of(gate).detail) == (
            RollbackState.FAILED,
            "tell was given up: 403; done: back; not done: page",
        )
        orders = await running.gates.outbox.of_gate(gate.id)
        assert [order.state.value for order in orders] == ["done", "given_up", "given_up"]
        assert orders[2].detail == "not tried, since tell came before it and was not done"
        assert [order.action for order in Note.tried] == ["back", "tell"]


async def test_the_actions_of_different_gates_do_not_wait_for_each_other(file: Path) -> None:
    """One service's receiver that is down keeps no other service from being rolled back."""
    Script.act = broken
    Note.act = lambda order: DONE if order.gate.service == "web" else ActionResult(Ending.RETRY, "503")
    async with replica(file) as running:
        stuck = await running.keeper.start(request("api"), caller="ci")
        gate = await finished(running, service="web", baseline=None)
        assert rollback_of(gate).state is RollbackState.UNCONFIRMED
        assert rollback_of(await running.keeper.get(stuck.id)).state is RollbackState.DUE


async def test_receivers_that_hang_leave_room_for_one_that_does_not(file: Path) -> None:
    """However many they are, and whether it is their first try or a later one."""
    Script.act = broken
    names = [f"s{number}" for number in range(30)]
    service = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"]}
    services = dict.fromkeys([*names, "web"], service)
    Note.act = lambda order: DONE if order.gate.service == "web" else asyncio.Event().wait()
    slow = {"back": {"kind": "note", "timeout": "10m"}}
    async with replica(file, config(services=services, actions=slow)) as running:
        for name in names:
            await running.keeper.start(request(name), caller="ci")
        while len(Note.tried) < len(names):
            await asyncio.sleep(1)
        gate = await finished(running, service="web", baseline=None)
        (tried,) = await log_of(running, gate, EventKind.ACTION)
        assert gate.decision is not None
        assert (tried.at - gate.decision.at).total_seconds() < 120  # and not ten minutes


async def test_where_nothing_is_left_to_roll_back_to_people_are_told(file: Path) -> None:
    """After a few looks, since a health check may blink."""
    Script.act, Note.act = broken, always(ActionResult(Ending.NO_BASELINE, "blue has no healthy target"))
    async with replica(file) as running:
        gate = await finished(running)
        assert rollback_of(gate).state is RollbackState.IMPOSSIBLE
        assert rollback_of(gate).detail == "back: blue has no healthy target"
        assert len(Note.tried) == 3


@pytest.mark.parametrize("where", ["request", "service"])
async def test_a_regression_after_the_baseline_was_cleaned_up_is_told_and_not_rolled_back(
    file: Path, where: str
) -> None:
    """The request, or else the configuration, says for how long there is a baseline."""
    Script.act, Note.act = later(400, healthy, broken), always(DONE)
    kept = {"rollback_window": "2m"} if where == "service" else {}
    async with replica(file, config(policy=WATCHED, service=kept)) as running:
        gate = await finished(running, **({"rollback_window": 120.0} if where == "request" else {}))
        assert (gate.state, rollback_of(gate).state) == (GateState.FINISHED, RollbackState.IMPOSSIBLE)
        assert "kept for 2m after the verdict" in (rollback_of(gate).detail or "")
        assert rollback_of(gate).trigger == "watch"
        assert not Note.tried


async def test_a_late_regression_is_rolled_back_like_a_fail(file: Path) -> None:
    """The same path, from the watch."""

    def act(seconds: float) -> Any:
        return switched_back(Counts(1000, 0))(seconds) if seconds > 400 else (Counts(1000, 0), Counts(0, 0))

    Script.act, Note.act = act, always(DONE)
    async with replica(file, config(policy=WATCHED, service={"rollback_window": "2h"})) as running:
        gate = await finished(running)
        assert (rollback_of(gate).state, rollback_of(gate).trigger) == (RollbackState.ROLLED_BACK, "watch")
        assert [order.occasion for order in Note.tried] == [Occasion.REGRESSION]


async def test_a_rollback_overtakes_what_the_pass_called_for(file: Path) -> None:
    """What promotes a version is not tried after its rollback was called for, and a try under way is waited for."""
    Script.act = later(400, healthy, broken)
    ends: list[str] = []

    async def act(order: ActionRequest) -> ActionResult:
        if order.occasion is Occasion.PASS:
            await asyncio.sleep(29)
            ends.append("promote")
            return ActionResult(Ending.RETRY, "503")
        ends.append("back")
        return DONE

    Note.act = act
    service = {"on_pass": ["tell"], "on_fail": ["back"]}
    async with replica(file, config(**THREE, policy=WATCHED, service=service)) as running:
        gate = await finished(running, baseline=None)
        assert rollback_of(gate).state is RollbackState.UNCONFIRMED
        await asyncio.sleep(600)
        assert ends[-1] == "back"
        promote, back = await running.gates.outbox.of_gate(gate.id)
        assert (promote.state, promote.detail) == (OrderState.GIVEN_UP, "overtaken by the rollback")
        assert back.state is OrderState.DONE


async def test_the_log_has_no_holes_where_a_watch_and_actions_write_at_once(file: Path) -> None:
    """The owner's looks and the tries of a pass's action share one numbering."""
    Note.act = lambda _order: DONE if len(Note.tried) > 8 else ActionResult(Ending.RETRY, "503")
    configuration = config(**THREE, policy={"watch": "3m"}, service={"on_pass": ["tell"]})
    async with replica(file, configuration) as first, replica(file, configuration):
        gate = await finished(first)
        events = await first.gates.gate_store.events(gate.id, 0, limit=10_000)
        assert [event.sequence for event in events] == list(range(1, gate.sequence + 1))
        kinds = [event.kind for event in events]
        assert kinds.count(EventKind.ACTION) == 9
        assert kinds[kinds.index(EventKind.ACTION) :].count(EventKind.LOOK) > 30


async def test_a_person_may_pull_again_after_a_failure(file: Path) -> None:
    """With new keys, so that a receiver does not take it for a repetition of what it refused."""
    Script.act, Note.act = broken, always(ActionResult(Ending.REFUSED, "403"))
    async with replica(file) as running:
        failed = await finished(running)
        Note.act = always(DONE)
        await running.keeper.interventions.rollback(failed.id, caller="ann", reason="the token is right now")
        gate = await over(running, failed)
        assert (rollback_of(gate).state, rollback_of(gate).round) == (RollbackState.UNCONFIRMED, 2)
        keys = [order.key for order in await running.gates.outbox.of_gate(gate.id)]
        assert keys == [f"{gate.id}:rollback:back", f"{gate.id}:rollback-2:back"]


async def test_a_person_who_rolls_back_after_a_fail_does_not_replace_why_it_failed(file: Path) -> None:
    """The next deploy is told what was seen of the version; once it was let out, the person's reason is what counts."""
    Script.act, Note.act = broken, always(ActionResult(Ending.REFUSED, "403"))
    async with replica(file) as running:
        failed = await finished(running)
        assert failed.decision is not None
        asked = "ann called for its rollback: once more"  # which failed
        for why, kept in (("customers call", failed.decision.sentence), ("once more", asked)):
            await running.keeper.interventions.rollback(failed.id, caller="ann", reason=why)
            await over(running, failed)
            assert [version.reason for version in await running.keeper.locks.quarantined()] == [kept]
            await running.keeper.locks.let_out("api", failed.candidate.version, caller="ann", reason="let it out")


async def test_the_same_pull_twice_is_one_pull_though_it_has_failed_meanwhile(file: Path) -> None:
    """A client that heard no answer asks again; only another key, or none, is another try."""
    Script.act, Note.act = broken, always(ActionResult(Ending.REFUSED, "403"))
    async with replica(file) as running:
        failed = await finished(running)
        for _ in range(2):
            await running.keeper.interventions.rollback(failed.id, caller="ann", reason="again", key="k-1")
            gate = await over(running, failed)
        assert (rollback_of(gate).round, len(Note.tried)) == (2, 2)
        await running.keeper.interventions.rollback(failed.id, caller="ann", reason="again", key="k-2")
        assert rollback_of(await over(running, failed)).round == 3


async def test_a_person_who_pulls_during_a_rollback_pulls_nothing_twice(file: Path) -> None:
    """Whether it is under way, or done."""
    Script.act = switched_back(Counts(1000, 0))

    async def slow(_order: ActionRequest) -> ActionResult:
        await asyncio.sleep(20)
        return DONE

    Note.act = slow
    async with replica(file) as running:
        gate = await running.keeper.start(request(baseline=BASELINE), caller="ci")
        while not Note.tried:
            await asyncio.sleep(1)
        pulled = await running.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        assert (rollback_of(pulled).trigger, rollback_of(pulled).by) == ("decision", None)
        (told,) = await running.keeper.rehearse(gate.id)
        assert told.would == "nothing more: it was called for already, and is due"
        assert rollback_of(await over(running, gate)).state is RollbackState.ROLLED_BACK
        await running.keeper.interventions.rollback(gate.id, caller="bob", reason="me too")
        (told,) = await running.keeper.rehearse(gate.id)
        assert told.would == "nothing more: it was called for already, and is rolled back"
        assert len(Note.tried) == 1


async def test_a_rehearsal_says_what_then_happens(file: Path) -> None:
    """Under the keys that the actions would have, or with the refusal that the rollback would meet."""
    Script.act, Note.act = broken, always(ActionResult(Ending.REFUSED, "403"))
    seen: list[str] = []
    async with replica(file) as running:
        gate = await finished(running)
        describe = running.gates._action_worker._desk.attempts.describe

        async def noting(_attempts: Any, config: Any, order: ActionRequest) -> str:
            seen.append(order.key)
            return await describe(config, order)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Attempts, "describe", noting)
            await running.keeper.rehearse(gate.id)
        await running.keeper.interventions.rollback(gate.id, caller="ann", reason="again")
        await over(running, gate)
        assert [order.key for order in Note.tried][1:] == seen
        Script.act = healthy
        await running.keeper.start(request(version="3.0"), caller="ci")
        for ask in (
            running.keeper.rehearse(gate.id),
            running.keeper.interventions.rollback(gate.id, caller="ann", reason="again"),
        ):
            with pytest.raises(ServiceBusy):
                await ask


async def test_a_rollback_whose_time_went_by_in_a_crash_is_looked_at_all_the_same(file: Path) -> None:
    """Nobody is called at night for what only nobody was there to see."""
    Script.act, Note.act = switched_back(Counts(1000, 0)), always(DONE)
    first = await start_replica(file, config(policy={"confirm_timeout": "1m"}))
    gate = await first.keeper.start(request(baseline=BASELINE), caller="ci")
    while not Note.tried:
        await asyncio.sleep(0.5)
    await first.crash()
    await asyncio.sleep(1800)
    async with replica(file, config(policy={"confirm_timeout": "1m"})) as second:
        assert rollback_of(await over(second, gate)).state is RollbackState.ROLLED_BACK
    assert len({order.key for order in Note.tried}) == 1


async def test_another_replica_takes_over_what_a_crash_left_under_way(file: Path) -> None:
    """Once the lease has ended, under the same key; the late end of a try that was given away counts for nothing."""
    Script.act = broken
    Note.act = lambda _order: DONE if len(Note.tried) > 1 else asyncio.Event().wait()
    async with replica(file) as second:
        async with replica(file) as first:
            gate = await first.keeper.start(request(), caller="ci")
            await first.keeper.wait(gate.id, 600)
            while not Note.tried:
                await asyncio.sleep(0.1)
            for job in first.gates._action_worker._jobs.values():
                job.task.cancel()
        gate = await over(second, gate)
        assert rollback_of(gate).state is RollbackState.UNCONFIRMED
        assert len({order.key for order in Note.tried}) == 1


async def test_an_action_that_is_not_configured_any_more_waits_for_its_return(file: Path) -> None:
    """A reload that loses it loses no rollback."""
    Script.act, Note.act = broken, always(DONE)
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        running.configure(config(actions={}, service={"on_fail": []}))
        await asyncio.sleep(300)
        (order,) = await running.gates.outbox.of_gate(gate.id)
        assert order.detail == "no action is called back in the configuration"
        running.configure(config())
        assert rollback_of(await over(running, gate)).state is RollbackState.UNCONFIRMED


async def test_a_rollback_whose_numbers_are_gone_from_the_configuration_ends_unconfirmed(file: Path) -> None:
    """After a restart without the service: it says so instead of waiting for numbers that never come."""
    Script.act, Note.act = switched_back(Counts(1000, 900)), always(DONE)
    async with replica(file, config(policy={"confirm_timeout": "30m"})) as running:
        gate = await running.keeper.start(request(baseline=BASELINE), caller="ci")
        while (await running.keeper.get(gate.id)).rollback is None or (
            rollback_of(await running.keeper.get(gate.id)).state is not RollbackState.CONFIRMING
        ):
            await asyncio.sleep(1)
    async with replica(file, config(services={})) as running:
        ended = rollback_of(await over(running, gate))
    assert ended.state is RollbackState.UNCONFIRMED
    assert ended.detail == "Nobody can tell: service api is not configured any more."
