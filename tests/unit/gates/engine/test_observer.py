"""What a gate looks at: sources that misbehave, checks, smoke requests, history, pushes; and what the metrics show."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from healthd.model import Probe
from healthd_gates import sources
from healthd_gates.domain.errors import AlreadyDecided, InvalidRequest
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import PushedCounts, PushedEvidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.rules import Against
from tests.fakes.gates import Replica, Script, Scripted, config, hanging, later, replica, request
from tests.fakes.monitoring import DOWN, MIDNIGHT, UP

READY = {"criteria": [{"kind": "checks", "group": "ready", "failures": 3}], "initial_delay": "0s"}
CHECKED = {"checks": {"db": {"kind": "process", "critical": True}}}
MAINTENANCE = {"checks": ["db"], "from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "reason": "provider"}


def decided(gate: Gate) -> tuple[Verdict, str]:
    assert gate.decision is not None
    return gate.decision.verdict, gate.decision.reason


async def verdict(running: Replica, **asked: object) -> Gate:
    started = await running.keeper.start(request(**asked), caller="ci")  # type: ignore[arg-type]
    return await running.keeper.wait(started.id, 3600)


async def stubborn(_seconds: float) -> Counts:
    """A client that swallows its cancellation."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


def absurd(_seconds: float) -> Counts:
    """A bug in a source."""
    raise ZeroDivisionError


async def test_a_source_that_hangs_and_ignores_its_cancellation_is_replaced(file: Path) -> None:
    """The gate looks on with another one."""
    built = []
    Script.act = later(40, lambda _: Counts(1000, 0), later(42, stubborn, lambda _: Counts(1000, 0)))
    before = Scripted.__init__

    def counting(self: Scripted, *parts: Any) -> None:
        built.append(self)
        before(self, *parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripted, "__init__", counting)
        try:
            async with replica(file) as running:
                assert decided(await verdict(running))[0] is Verdict.PASS
        finally:
            await _end_of_stubborn()
    assert len(built) == 3  # the first was only asked whether a gate can be judged by it


async def _end_of_stubborn() -> None:
    """What ignores its cancellation would keep the loop of the test from ending."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        coroutine: Any = task.get_coro()
        coroutine.close()


async def test_a_bug_in_a_source_is_an_outage_of_telemetry(file: Path) -> None:
    """It neither ends the gate nor fails the candidate, and is logged."""
    Script.act = absurd
    with capture_logs() as logged:
        async with replica(file) as running:
            gate = await verdict(running)
            assert decided(gate) == (Verdict.INCONCLUSIVE, "source_unavailable")
            assert gate.notes == ("the source failed: ZeroDivisionError",)
    assert any(line["log_level"] == "error" and "exc_info" in line for line in logged)


async def test_slow_looks_do_not_pile_up(file: Path) -> None:
    """Ticks that are missed while a source hangs are skipped."""
    Script.act = hanging
    async with replica(file) as running:
        gate = await verdict(running)
        assert decided(gate) == (Verdict.INCONCLUSIVE, "source_unavailable")
        assert Script.asked <= 340 / 7 + 5


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (UP, (Verdict.PASS, "proven_safe")),
        (DOWN, (Verdict.FAIL, "observation_failed")),
        (None, (Verdict.INCONCLUSIVE, "not_enough_evidence")),
    ],
    ids=["up", "down", "never ran"],
)
async def test_preflight_goes_by_the_checks(file: Path, result: Any, expected: tuple[Verdict, str]) -> None:
    """At once when they are up, after some looks when they are down; what is not known passes nobody."""
    policy = {**READY, "observe": {"min": "0s", "max": "1m"}}
    async with replica(file, config(policy=policy, **CHECKED)) as running:
        put(running, result)
        gate = await verdict(running)
        assert decided(gate) == expected
        assert gate.decision is not None
        taken = (gate.decision.at - gate.created_at).total_seconds()
        assert taken < {Verdict.PASS: 1, Verdict.FAIL: 11, Verdict.INCONCLUSIVE: 70}[expected[0]]


async def test_checks_in_maintenance_pass_nobody(file: Path) -> None:
    """A checklist without a check that counts is no evidence of anything."""
    policy = {**READY, "observe": {"min": "0s", "max": "1m"}}
    async with replica(file, config(policy=policy, **CHECKED, maintenance=[MAINTENANCE])) as running:
        gate = await verdict(running)
        assert decided(gate)[0] is Verdict.INCONCLUSIVE
        assert gate.standing is not None
        assert "all its checks are in maintenance" in gate.standing.criteria[0].sentence


@pytest.mark.parametrize(
    ("checked", "group", "cure"),
    [
        ({"checks": {}}, "preflight", "name some under groups.preflight.checks, or mark checks `critical: true`"),
        ({"checks": {"db": {"kind": "process"}}}, "ready", "name some under groups.ready.checks, or mark checks"),
        ({**CHECKED, "groups": {"own": {"checks": []}}}, "own", "name some under groups.own.checks"),
        (
            {"checks": {"db": {"kind": "process", "enabled": False}}, "groups": {"own": {"checks": ["db"]}}},
            "own",
            "name some under groups.own.checks",
        ),
    ],
    ids=["no checks", "none critical", "empty group", "none runs"],
)
async def test_a_checklist_without_a_check_is_refused_at_the_start(
    file: Path, checked: dict[str, Any], group: str, cure: str
) -> None:
    """Nobody waits a minute to hear that there was nothing to wait for. What only warns is not in the way."""
    criterion = {"kind": "checks", "group": group}
    async with replica(file, config(policy={**READY, "criteria": [criterion]}, **checked)) as running:
        with pytest.raises(InvalidRequest) as refusal:
            await running.keeper.start(request(), caller="ci")
        problem = refusal.value.fields["problem"]
        assert f"no check is in the group {group}: {cure}" in problem
        assert refusal.value.fields["field"] == "policy"
        with pytest.raises(InvalidRequest):
            await running.keeper.could_start(request(), caller="ci")
    warns = {"criteria": [{"kind": "error_rate"}, {**criterion, "critical": False}], "initial_delay": "0s"}
    async with replica(file, config(policy=warns, **checked)) as running:
        await running.keeper.start(request(), caller="ci")


def put(running: Replica, result: Any) -> None:
    if result is None:
        return
    probe = Probe(MIDNIGHT, 0.1, result)
    state = running.board.check("db")
    running.board.put(replace(state, status=result.status, good_until=float("inf"), probe=probe))


async def test_a_dry_run_tells_which_checks_are_down(file: Path) -> None:
    """It could start, and would fail: who rehearses a deploy wants to know before it."""
    async with replica(file, config(policy=READY, **CHECKED)) as running:
        for result, notes in ((UP, ()), (DOWN, ("it would fail as things are now: unhealthy: db",))):
            put(running, result)
            assert (await running.keeper.could_start(request(), caller="ci")).notes == notes


async def test_checks_that_fail_in_the_watch_roll_nothing_back(file: Path) -> None:
    """They say nothing of the candidate an hour later."""
    policy = {"criteria": [{"kind": "error_rate"}, *READY["criteria"]], "watch": "5m"}
    async with replica(file, config(policy=policy, **CHECKED)) as running:
        put(running, UP)
        gate = await verdict(running)
        assert decided(gate)[0] is Verdict.PASS
        put(running, DOWN)
        await asyncio.sleep(360)
        gate = await running.keeper.get(gate.id)
        assert gate.state.is_over
        assert gate.rollback is None


class Remembering(Scripted):
    """A source that also knows the past: 1 % errors before the switch."""

    asked: ClassVar[list[tuple[datetime, datetime, float]]] = []

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        Remembering.asked.append((start, end, step))
        count = int((end - start).total_seconds() // step)
        past = [start + timedelta(seconds=step * (n + 1)) for n in range(count)]
        return [Evidence(at, step, Counts(100, 1)) for at in past]


async def test_history_is_fetched_once_and_stored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hours before the switch; a gate that comes back after a restart is judged by the same past."""
    monkeypatch.setitem(sources.KINDS, "scripted", f"{__name__}:Remembering")
    Remembering.asked.clear()
    compared = {"kind": "error_rate", "limit": None, "compare": {"to": Against.HISTORY.value}}
    Script.act = later(60, lambda _: Counts(500, 5), lambda _: Counts(500, 60))
    configuration = config(policy={"criteria": [compared]})
    async with replica(file, configuration) as running:
        started = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(started.id, 45)
    async with replica(file, configuration) as running:
        gate = await running.keeper.wait(started.id, 3600)
        assert decided(gate)[0] is Verdict.FAIL
        assert gate.standing is not None
        assert gate.standing.criteria[0].baseline == pytest.approx(0.01)
    ((start, end, step),) = Remembering.asked
    assert (end - start, step) == (timedelta(hours=3), 30.0)


async def test_every_gate_of_traffic_learns_from_the_past(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is compared with it: how errors come in bursts is the past's to say. No look waits for it."""
    monkeypatch.setitem(sources.KINDS, "scripted", f"{__name__}:Remembering")
    Remembering.asked.clear()
    Script.act = lambda _: Counts(500, 2)
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(started.id, 600)
        assert decided(gate)[0] is Verdict.PASS
        assert gate.standing is not None
        assert gate.standing.criteria[0].correlation == pytest.approx(0.001, abs=0.001)
    assert len(Remembering.asked) == 1


async def test_pushed_counts_decide(file: Path) -> None:
    """From whichever replica they come, each push once."""
    pushed = config(service={"source": {"kind": "push"}})
    async with replica(file, pushed) as first, replica(file, pushed) as second:
        started = await first.keeper.start(request(), caller="ci")
        waiting = asyncio.create_task(first.keeper.wait(started.id, 3600))
        sides: Sequence[Replica] = (first, second)
        for n in range(60):
            if waiting.done():
                break
            evidence = PushedEvidence(id=str(n), candidate=PushedCounts(requests=500, errors=0))
            with suppress(AlreadyDecided):  # which may have come while this was on its way
                for side in sides:
                    await side.keeper.push(started.id, evidence, caller="lb")
            await asyncio.sleep(5)
        gate = await waiting
        assert decided(gate)[0] is Verdict.PASS
        assert gate.standing is not None
        assert 500 * 10 <= gate.standing.criteria[0].requests <= 500 * n


async def test_metrics_show_what_a_gate_sees_and_said(file: Path) -> None:
    """Observed value and limit while it runs, verdict and duration afterwards."""
    async with replica(file) as running:
        started = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(started.id, 60)
        during = generate_latest(running.registry).decode()
        assert 'healthd_gates_active{service="api",state="observing"} 1.0' in during
        where = 'criterion="error_rate",policy="quick",service="api"'
        assert f"healthd_gate_candidate_ratio{{{where}}} 0.0" in during
        assert f"healthd_gate_limit_ratio{{{where}}} 0.05" in during
        await running.keeper.wait(started.id, 600)
        await asyncio.sleep(1)
        after = generate_latest(running.registry).decode()
        where = 'observed="false",policy="quick",reason="proven_safe",service="api",verdict="pass"'
        assert f"healthd_gate_verdicts_total{{{where}}} 1.0" in after
        assert "healthd_gates_active{" not in after
