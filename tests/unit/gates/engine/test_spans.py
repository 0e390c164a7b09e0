"""The spans of a gate, from its log as it is stored."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.journal.database import JournalError
from healthd.otlp.span import Span
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState
from healthd_gates.domain.request import Deployment
from healthd_gates.engine import span_worker
from healthd_gates.engine.span_worker import SpanSink
from healthd_gates.engine.spans import _span_events, last_span
from tests.fakes.gates import Note, Replica, Script, broken, config, healthy, later, over, replica, request
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.gates.engine.test_rollback import DONE, always, finished, switched_back

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WATCH = {"policy": {"watch": "15m"}}


class Sink:
    """What was handed over."""

    wants_spans = True

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def emit(self, span: Span) -> None:
        self.spans.append(span)


def sink_of(running: Replica) -> Sink:
    sink = Sink()
    told: SpanSink = sink
    running.gates.span_sink = told
    return sink


async def judged(running: Replica, version: str = "2.0", **deployment: str) -> Gate:
    started = await running.keeper.start(
        request("api", version, deployment=Deployment.model_validate(deployment)), caller="ci"
    )
    return await running.keeper.wait(started.id, 3600)


async def handed_over(running: Replica) -> None:
    await running.gates.spans.flush()


def names(span: Span) -> list[str]:
    return [event.name for event in span.events]


async def test_a_pass_is_a_span_within_the_callers(file: Path) -> None:
    """From its start to its verdict, with the looks that changed something: not each of some twenty."""
    async with replica(file) as running:
        sink = sink_of(running)
        gate = await judged(running, traceparent=f"00-{TRACE}-{SPAN}-01", id="4711", url="https://ci.test/4711")
        await handed_over(running)
    (span,) = sink.spans
    assert gate.decision is not None
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert (span.name, span.began, span.ended) == ("gate api", gate.created_at, gate.decision.at)
    assert span.failed is None
    assert span.attributes["deployment.name"] == "api 2.0"
    assert span.attributes["deployment.id"] == "4711"
    assert span.attributes["deployment.status"] == "succeeded"
    assert span.attributes["cicd.pipeline.run.url.full"] == "https://ci.test/4711"
    assert span.attributes["healthd.gate.verdict"] == "pass"
    assert names(span)[0] == "started"
    assert names(span)[-2:] == ["decision", "state"]
    looks = [event for event in span.events if event.name == "look"]
    assert 1 < len(looks) < 8
    told = [
        (look.attributes["healthd.look.reason"], look.attributes["healthd.look.finding.error_rate"]) for look in looks
    ]
    assert all(one != other for one, other in pairwise(told))
    decision = next(event for event in span.events if event.name == "decision")
    assert decision.attributes["healthd.decision.sentence"] == gate.decision.sentence


async def test_a_fail_ends_with_its_rollback(file: Path) -> None:
    """The span says why; without a caller's span its trace is the gate's own id."""
    Script.act, Note.act = switched_back(Counts(1000, 2)), always(DONE)
    async with replica(file) as running:
        sink = sink_of(running)
        gate = await finished(running)
        await handed_over(running)
    (span,) = sink.spans
    assert gate.decision is not None
    assert gate.rollback is not None
    assert (span.trace_id, span.parent_id) == (gate.id, None)
    assert span.failed == gate.decision.sentence
    assert span.ended == gate.finished_at
    assert span.attributes["deployment.status"] == "failed"
    assert span.attributes["healthd.gate.rollback"] == gate.rollback.state.value
    order = [name for name in names(span) if name in ("decision", "action", "rollback")]
    assert order[0] == "decision"
    assert {"action", "rollback"} <= set(order)


async def test_a_watch_is_a_child_of_the_gates_span(file: Path) -> None:
    """Also where the version gets worse in it, which the first span could not know."""
    Script.act, Note.act = later(300, healthy, broken), always(ActionResult(Ending.REFUSED, "no such target"))
    async with replica(file, config(**WATCH)) as running:
        sink = sink_of(running)
        gate = await over(running, await judged(running))
        await handed_over(running)
    first, watch = sink.spans
    assert gate.rollback is not None
    assert gate.rollback.trigger == "watch"
    assert (first.name, first.failed, first.attributes["healthd.gate.state"]) == ("gate api", None, "watching")
    assert (watch.name, watch.parent_id, watch.trace_id) == ("gate watch api", first.span_id, first.trace_id)
    assert watch.span_id != first.span_id
    assert (watch.began, watch.ended) == (first.ended, gate.finished_at)
    assert watch.failed is not None
    assert watch.attributes["deployment.status"] == "failed"


async def test_a_watch_that_another_deploy_ends_is_told_too(file: Path) -> None:
    """No step of its own ends it."""
    async with replica(file, config(**WATCH)) as running:
        sink = sink_of(running)
        first = await judged(running)
        assert first.state is GateState.WATCHING
        await judged(running, "3.0")
        await asyncio.sleep(60)
        await handed_over(running)
        told = [span for span in sink.spans if span.attributes["healthd.gate.id"] == first.id]
    assert [span.name for span in told] == ["gate api", "gate watch api"]
    assert told[1].attributes["healthd.gate.state"] == "finished"
    assert told[1].failed is None


async def test_a_gate_that_another_replica_takes_over_keeps_its_trace(file: Path) -> None:
    """Its span begins where it was asked for, and is told by who has ended it."""
    async with replica(file) as running:
        gate = await running.keeper.start(
            request(deployment=Deployment(traceparent=f"00-{TRACE}-{SPAN}-01")), caller="ci"
        )
        await running.stop()
    async with replica(file) as other:
        sink = sink_of(other)
        gate = await over(other, gate)
        await handed_over(other)
    (span,) = sink.spans
    assert (span.trace_id, span.parent_id, span.began) == (TRACE, SPAN, gate.created_at)
    assert names(span)[0] == "started"


async def test_a_bug_in_telemetry_leaves_gates_as_they_are(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs one span: rollbacks and leases run beside it, and the next gate has its span."""
    broken: list[str] = []

    def bug(gate: Gate, log: list[GateEvent]) -> Span | None:
        if gate.id in broken:
            raise ZeroDivisionError
        return last_span(gate, log)

    monkeypatch.setattr(span_worker, "last_span", bug)
    async with replica(file) as running:
        sink = sink_of(running)
        started = await running.keeper.start(request(), caller="ci")
        broken.append(started.id)
        with capture_logs() as logs:
            await over(running, started)
            await asyncio.sleep(1)
        assert not running.task.done()
        assert [line["gate"] for line in logs if line["event"] == "gate has no span"] == [started.id]
        gate = await judged(running, "3.0")
        await handed_over(running)
    assert [span.attributes["healthd.gate.id"] for span in sink.spans] == [gate.id]


async def test_a_watch_that_a_bug_cannot_tell_is_left(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replica(file, config(**WATCH)) as running:
        sink_of(running)
        first = await judged(running)
        await handed_over(running)

        def bug(gate: Gate, log: list[GateEvent]) -> Span | None:
            raise ZeroDivisionError

        monkeypatch.setattr(span_worker, "last_span", bug)
        with capture_logs() as logs:
            await running.keeper.start(request("api", "3.0"), caller="ci")
            await asyncio.sleep(120)
        assert not running.task.done()
    assert [line["gate"] for line in logs if line["event"] == "gate has no span"].count(first.id) == 1


async def test_a_journal_that_is_away_keeps_a_span_waiting(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one that the last words tried first."""
    async with replica(file) as running:
        sink, store, away = sink_of(running), running.gates.gate_store, [True]
        events = store.events

        async def at_times(*asked: Any) -> Any:
            if away:
                raise JournalError("database is locked")
            return await events(*asked)

        monkeypatch.setattr(store, "events", at_times)
        gate = await judged(running)
        with pytest.raises(JournalError):
            await handed_over(running)
        away.clear()
        await handed_over(running)
    assert [span.attributes["healthd.gate.id"] for span in sink.spans] == [gate.id]


@pytest.mark.parametrize("wants", [True, False])
async def test_a_trace_that_nobody_keeps_has_no_span(file: Path, wants: bool) -> None:
    """Neither where the caller's is not sampled, nor where nobody exports."""
    async with replica(file) as running:
        sink = sink_of(running)
        sink.wants_spans = wants
        await judged(running, traceparent=f"00-{TRACE}-{SPAN}-{'00' if wants else '01'}")
        await handed_over(running)
    assert sink.spans == []


async def test_a_cancelled_gate_has_no_verdict(file: Path) -> None:
    async with replica(file) as running:
        sink = sink_of(running)
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.interventions.cancel(gate.id, caller="kim", reason="no more")
        await handed_over(running)
    (span,) = sink.spans
    assert span.attributes["healthd.gate.state"] == "cancelled"
    assert span.attributes["deployment.status"] is None
    assert span.events[-1].attributes["healthd.state.by"] == "kim"


def test_a_gate_of_weeks_has_the_beginning_and_the_end_of_its_log() -> None:
    """A receiver takes no span with more events."""
    log = [GateEvent("g1", n, MIDNIGHT + timedelta(hours=n), EventKind.STATE, {"state": "held"}) for n in range(1000)]
    times = [event.at for event in _span_events(log)]
    assert times == [event.at for event in (*log[:64], *log[-64:])]


async def test_a_log_of_several_pages_is_read_to_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its last page is a full one."""
    async with replica(file) as running:
        sink = sink_of(running)
        await judged(running)
        await handed_over(running)
        for page in (1, 4):
            monkeypatch.setattr(span_worker, "_PAGE", page)
            gate = await running.keeper.get(str(sink.spans[0].attributes["healthd.gate.id"]))
            await running.gates.spans._hand_over(gate)
    whole, by_one, by_four = sink.spans
    assert len(whole.events) > 4
    assert whole.events == by_one.events == by_four.events


async def test_a_watch_that_another_replica_takes_over_is_told_by_that_one(file: Path) -> None:
    """A person pulls the cord there: who watched before only forgets it."""
    Note.act = always(ActionResult(Ending.REFUSED, "no such target"))
    async with replica(file, config(**WATCH)) as first, replica(file, config(**WATCH)) as second:
        here, there = sink_of(first), sink_of(second)
        gate = await judged(first)
        Note.act = always(ActionResult(Ending.RETRY, "503"))
        await second.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        await asyncio.sleep(40)
        assert first.gates.spans._watched == {}
        await second.keeper.interventions.give_up(gate.id, caller="ann", reason="by hand", done=True)
        for running in (first, second):
            await handed_over(running)
    assert [span.name for span in here.spans] == ["gate api"]
    assert [span.name for span in there.spans] == ["gate watch api"]
