"""What Argo Rollouts is told over the life of a rollout: each AnalysisRun has its own verdict."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.gate import GateState
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Script, broken, failing, healthy, replica, request, silent
from tests.unit.gates.hooks.asking import ArgoCalls, Said, quick

INTERVAL = 10.0
PATIENT: dict[str, Any] = {"policy": {"observe": {"min": "1h", "max": "2h"}}}


async def analysed(argo: ArgoCalls, version: str, run: str | None, revision: str = "7") -> Said:
    """An AnalysisRun from its first measurement to its end."""
    while (said := await argo(version, revision, run)).verdict == "running":
        assert said.status == 200
        await asyncio.sleep(INTERVAL)
    return said


async def test_each_analysis_step_is_judged(file: Path) -> None:
    """Also seconds after the one before has passed."""
    async with replica(file, quick()) as running:
        argo = ArgoCalls(running)
        first = await analysed(argo, "aaa", "1001")
        await asyncio.sleep(5)
        Script.act = broken
        assert (await argo("aaa", run="1002")).verdict == "running"
        second = await analysed(argo, "aaa", "1002")
        assert (first.verdict, second.verdict, first.gate != second.gate) == ("pass", "fail", True)


async def test_an_answer_that_was_lost_is_given_again(file: Path) -> None:
    """Whenever the run asks."""
    async with replica(file, quick()) as running:
        argo = ArgoCalls(running)
        first = await analysed(argo, "aaa", "1001")
        await asyncio.sleep(90)
        assert await argo("aaa", run="1001") == first


async def test_a_retry_of_a_released_version_is_judged(file: Path) -> None:
    """At once, also where the template does not say which run asks."""
    for runs in (("1001", "1002"), (None, None)):
        Script.act = failing
        async with replica(file.with_suffix(f".{runs[0]}"), quick()) as running:
            argo = ArgoCalls(running)
            assert (await analysed(argo, "aaa", runs[0])).verdict == "fail"
            await running.keeper.locks.let_out("api", "aaa", caller="kim", reason="it was the network")
            await asyncio.sleep(28)
            Script.act = healthy
            assert (await argo("aaa", run=runs[1])).verdict == "running"
            assert (await analysed(argo, "aaa", runs[1])).verdict == "pass"


async def test_quarantine_is_a_fail_and_not_an_error(file: Path) -> None:
    """An error is measured again and again, with traffic on the version all the time."""
    Script.act = failing
    async with replica(file, quick()) as running:
        argo = ArgoCalls(running)
        first = await analysed(argo, "aaa", "1001")
        again = await argo("aaa", run="1002")
        assert (again.status, again.verdict, again.gate) == (200, "fail", first.gate)
        assert "Let it out" in again.body["sentence"]


async def test_a_lock_and_another_gate_are_waited_for(file: Path) -> None:
    """Neither is a reason to abort; the sentence says who and until when."""
    async with replica(file, quick()) as running:
        argo = ArgoCalls(running)
        await running.keeper.locks.take("api", holder="kim", seconds=600, reason="maintenance", caller="kim")
        said = await argo("aaa", run="1001")
        assert (said.status, said.verdict) == (200, "running")
        assert "kim holds the deploy lock" in said.body["sentence"]
        await running.keeper.locks.release("api", holder="kim", caller="kim")
        other = await running.keeper.start(request(), caller="ci")
        assert other.id in (await argo("aaa", run="1001")).body["sentence"]
        await running.keeper.interventions.cancel(other.id, caller="ci", reason="done")
        assert (await argo("aaa", run="1001")).body["gate"]


async def test_a_persons_verdict_is_told_to_the_next_analysis(file: Path) -> None:
    """The analysis ended inconclusive and paused the rollout; it is resumed long after the person has decided."""
    Script.act = silent
    async with replica(file, quick(policy={"inconclusive": "hold"})) as running:
        argo = ArgoCalls(running)
        said = await argo("aaa", run="1001")
        for _ in range(6):
            await asyncio.sleep(INTERVAL)
            assert (await argo("aaa", run="1001")).gate == said.gate
        assert (await running.keeper.get(said.gate)).state is GateState.HELD
        await running.keeper.interventions.decide(said.gate, Verdict.PASS, caller="kim", reason="no traffic at night")
        await asyncio.sleep(90)
        assert (await argo("aaa", run="1002")).verdict == "pass"
        assert (await argo("aaa", run="1002")).gate == said.gate
        assert (await argo("aaa", run="1003")).gate != said.gate


@pytest.mark.parametrize(("selector", "watches"), [('role="$role"', False), ('hash="$version"', True)])
async def test_a_watch_does_not_take_the_next_rollouts_pods_for_its_version(
    file: Path, selector: str, *, watches: bool
) -> None:
    """Argo Rollouts gives their role to the next version long before its analysis asks, and tells nobody. Numbers that
    are found by the hash stay those of the version that passed."""
    source = {"kind": "scripted", "selector": selector}
    settings = quick(service={"source": source}, policy={"watch": "1h"})
    async with replica(file, settings) as running:
        said = await analysed(ArgoCalls(running), "aaa", "1001")
        assert said.verdict == "pass"
        await asyncio.sleep(90)
        Script.act = broken
        await asyncio.sleep(90)
        gate = await running.keeper.get(said.gate)
        quarantined = [kept.version for kept in await running.keeper.locks.quarantined()]
        assert (gate.state, gate.rollback is not None, quarantined) == (
            GateState.FINISHED, watches, ["aaa"] if watches else [],
        )  # fmt: skip


async def test_an_analysis_that_asks_again_after_a_silence_is_judged_again(file: Path) -> None:
    """In the background it goes on after the pass; its controller restarts, and meanwhile the watch has ended."""
    settings = quick(service={"source": {"kind": "scripted", "selector": 'role="$role"'}}, policy={"watch": "1h"})
    async with replica(file, settings) as running:
        argo = ArgoCalls(running)
        first = await analysed(argo, "aaa", "1001")
        assert first.verdict == "pass"
        await asyncio.sleep(90)
        assert (await argo("aaa", run="1001")).verdict == "running"
        Script.act = broken
        again = await analysed(argo, "aaa", "1001")
        assert (again.verdict, again.gate != first.gate) == ("fail", True)


async def test_a_watch_that_goes_on_after_a_late_call_ends_with_the_next_silence(file: Path) -> None:
    """The call came after the silence was over, but before the watch had ended of it."""
    settings = quick(service={"source": {"kind": "scripted", "selector": 'role="$role"'}}, policy={"watch": "1h"})
    async with replica(file, settings) as running:
        argo = ArgoCalls(running)
        said = await analysed(argo, "aaa", "1001")
        run = next(iter(await running.gates.runs._kept.of_gate(said.gate)))
        await asyncio.sleep(run.silence + 0.5)
        states = []
        late = await argo("aaa", run="1001")
        for pause in (50, 40):
            await asyncio.sleep(pause)
            states.append((await running.keeper.get(said.gate)).state)
        assert (late, states) == (said, [GateState.WATCHING, GateState.FINISHED])


async def test_two_analyses_at_once_are_judged_by_one_gate(file: Path) -> None:
    """One in the background and one of a step: neither ends the other's."""
    async with replica(file, quick(**PATIENT)) as running:
        argo = ArgoCalls(running)
        gates = set()
        for _ in range(8):
            gates |= {(await argo("aaa", run=run)).gate for run in ("1001", "1002")}
            await asyncio.sleep(INTERVAL)
        assert len(gates) == 1


async def test_an_aborted_rollout_frees_its_service(file: Path) -> None:
    """Argo Rollouts tells nobody of an abort; a retry within the same minute has a gate of its own."""
    async with replica(file, quick(**PATIENT)) as running:
        argo = ArgoCalls(running)
        for _ in range(5):
            first = await argo("aaa", run="1001")
            await asyncio.sleep(INTERVAL)
        await asyncio.sleep(32)
        second = await argo("aaa", run="1002")
        assert second.gate != first.gate
        await asyncio.sleep(INTERVAL)
        await argo("aaa", run="1002")
        await asyncio.sleep(80)
        assert (await running.keeper.get(second.gate)).state is GateState.CANCELLED
        assert (await argo("aaa", run="1002")).verdict == "running"


async def test_the_stable_hash_names_the_baseline(file: Path) -> None:
    """Where pods are told apart by their hash; without it, and with a configured name, that one stands."""
    beside = {"service": "api", "baseline": {"version": "stable", "labels": {"role": "stable"}}}
    hooks = {"argo": {"kind": "argo_rollouts", "rollouts": {"shop/api": beside}}}
    async with replica(file, quick(hooks=hooks)) as running:
        argo = ArgoCalls(running)
        baselines = []
        for run, stable in (("1001", "5d4f8b9c7"), ("1002", ""), ("1003", None)):
            body = {"rollout": "shop/api", "revision": "7", "version": "aaa", "run": run}
            said = await argo.ask("argo_rollouts", body if stable is None else {**body, "stable": stable})
            baselines.append((await running.keeper.get(said.gate)).baseline)
            await running.keeper.interventions.cancel(said.gate, caller="kim", reason="next")
        assert [it.version for it in baselines if it] == ["5d4f8b9c7", "stable", "stable"]
        assert {it.labels["role"] for it in baselines if it} == {"stable"}
