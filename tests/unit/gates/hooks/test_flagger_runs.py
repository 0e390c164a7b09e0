"""What Flagger is told over the life of a canary: the verdict of one rollout never answers for another."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import GateState
from tests.fakes.gates import Script, broken, config, failing, healthy, later, replica, silent
from tests.unit.gates.hooks.asking import FlaggerCalls, Said, quick

INTERVAL = 10.0
WAITING: dict[str, Any] = {"policy": {"interval": "30s", "observe": {"min": "20h", "max": "24h"}}}


async def rolled_out(flagger: FlaggerCalls, checksum: str) -> Said:
    """A rollout from its first tick until `rollout` is answered otherwise than at first; as Flagger ticks."""
    assert (await flagger("rollback", checksum)).status == 409
    first = await flagger("pre-rollout", checksum)
    assert (first.status, first.verdict) == (200, "running"), first
    while True:
        await asyncio.sleep(INTERVAL)
        if (back := await flagger("rollback", checksum)).status == 200:
            await flagger("post-rollout", checksum, "Failed")
            return back
        said = await flagger("rollout", checksum)
        if said.verdict == "pass":
            assert (await flagger("confirm-promotion", checksum)).status == 200
            return said


async def test_a_passed_version_that_comes_back_is_judged_anew(file: Path) -> None:
    """After its promotion, and also where nobody was asked about the version that came in between."""
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        first = await rolled_out(flagger, "aaa")
        await flagger("post-rollout", "aaa", "Succeeded")
        await asyncio.sleep(90)
        Script.act = broken
        again = await rolled_out(flagger, "aaa")
        assert (again.verdict, again.gate != first.gate) == ("fail", True)


async def test_a_rollback_of_flaggers_own_ends_the_run(file: Path) -> None:
    """Its own metric or load test failed after the gate had passed: the second try is not promoted unjudged."""
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        first = await rolled_out(flagger, "aaa")
        await flagger("post-rollout", "aaa", "Failed")
        Script.act = broken
        again = await rolled_out(flagger, "aaa")
        assert (again.verdict, again.gate != first.gate) == ("fail", True)


async def test_an_analysis_that_begins_anew_is_another_run_though_nobody_said_so(file: Path) -> None:
    """`post-rollout` was lost: traffic had been shifted, and `pre-rollout` comes only without any."""
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        first = await rolled_out(flagger, "aaa")
        again = await flagger("pre-rollout", "aaa")
        assert (again.verdict, again.gate != first.gate) == ("running", True)


async def test_a_pass_before_any_traffic_holds_while_flagger_asks_for_it(file: Path) -> None:
    """With a load test the gate may pass at weight 0, where `pre-rollout` is asked at every interval."""
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        gates = set()
        for _ in range(20):
            said = await flagger("pre-rollout", "aaa")
            gates.add(said.gate)
            await asyncio.sleep(INTERVAL)
        assert (said.verdict, len(gates)) == ("pass", 1)


async def test_an_inconclusive_run_is_no_reason_to_roll_its_second_try_back(file: Path) -> None:
    """There was no traffic; then there is some, and the same version is judged by it."""
    Script.act = silent
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        assert (await rolled_out(flagger, "aaa")).verdict == "fail"
        Script.act = healthy
        await asyncio.sleep(60)
        assert (await rolled_out(flagger, "aaa")).verdict == "pass"


async def test_a_version_in_quarantine_goes_back_at_its_first_tick(file: Path) -> None:
    """Also long after it failed, and with the reason; once it is released it is judged anew."""
    Script.act = failing
    async with replica(file, quick()) as running:
        flagger = FlaggerCalls(running)
        first = await rolled_out(flagger, "aaa")
        await asyncio.sleep(120)
        again = await flagger("rollback", "aaa")
        assert (again.status, again.gate) == (200, first.gate)
        assert "Let it out" in again.body["sentence"]
        await running.keeper.locks.let_out("api", "aaa", caller="kim", reason="it was the network")
        Script.act = healthy
        assert (await rolled_out(flagger, "aaa")).verdict == "pass"


async def test_flagger_hears_of_a_regression_after_the_pass(file: Path) -> None:
    """Its ramp takes longer than the verdict, and healthd itself rolls nothing back here."""
    Script.act = later(40, healthy, broken)
    async with replica(file, quick(policy={"watch": "1h"})) as running:
        flagger = FlaggerCalls(running)
        assert (await rolled_out(flagger, "aaa")).verdict == "pass"
        statuses = []
        for _ in range(20):
            await asyncio.sleep(INTERVAL)
            statuses.append((await flagger("rollout", "aaa")).status)
            if (await flagger("rollback", "aaa")).status == 200:
                break
        assert statuses[0] == 200
        assert statuses[-1] == 412


async def test_a_canary_that_is_deleted_frees_its_service(file: Path) -> None:
    """Flagger tells nobody; some intervals later the gate ends. Restarting healthd meanwhile is no silence."""
    patient: dict[str, Any] = {"policy": {"observe": {"min": "1h", "max": "2h"}}}
    async with replica(file, quick(**patient)) as running:
        flagger = FlaggerCalls(running)
        gate = (await flagger("pre-rollout", "aaa")).gate
        for _ in range(5):
            await asyncio.sleep(INTERVAL)
            assert (await flagger("rollout", "aaa")).verdict == "running"
        await asyncio.sleep(50)
        assert not (await running.keeper.get(gate)).state.is_over
        await asyncio.sleep(30)
        assert (await running.keeper.get(gate)).state is GateState.CANCELLED
        again = await flagger("rollout", "aaa")
        assert (again.status, again.verdict, again.gate != gate) == (200, "running", True)


async def ticked(flagger: FlaggerCalls) -> list[str]:
    """The gates of one tick, whose calls come some seconds apart: a load test takes its time."""
    gates = []
    for webhook in ("rollback", "rollout", "confirm-traffic-increase"):
        gates.append((await flagger(webhook, "aaa")).gate)
        await asyncio.sleep(4)
    return gates


@pytest.mark.parametrize(("minutes", "named"), [(5, {}), (20, {"interval": "20m"})])
async def test_a_gate_lives_from_one_tick_to_the_next(file: Path, minutes: int, named: dict[str, str]) -> None:
    """The time between the calls of one tick is not the interval. One of more than a quarter of an hour is named."""
    hooks = {"flagger": {"kind": "flagger", "canaries": {"shop/api": {"service": "api", **named}}}}
    async with replica(file, quick(hooks=hooks, **WAITING)) as running:
        flagger = FlaggerCalls(running)
        first = (await ticked(flagger))[1]
        await asyncio.sleep(60.0 * minutes - 12)
        assert await ticked(flagger) == [first] * 3


async def test_a_canary_that_asks_seldom_is_known_by_its_second_tick(file: Path) -> None:
    """Where nobody has named its interval the gate of the first is over by then."""
    async with replica(file, quick(**WAITING)) as running:
        flagger = FlaggerCalls(running)
        first = (await ticked(flagger))[1]
        await asyncio.sleep(1200 - 12)
        second = (await ticked(flagger))[1]
        await asyncio.sleep(1200 - 12)
        assert first != second
        assert await ticked(flagger) == [second] * 3


async def test_weight_is_held_while_something_speaks_against_the_version(file: Path) -> None:
    """The first step needs no evidence, for without weight there is none; a rate over the limit holds the next."""
    patient: dict[str, Any] = {"policy": {"observe": {"min": "1h", "max": "2h"}}}
    for errors, status in ((0, 200), (1, 409)):

        def ten(_seconds: float, errors: int = errors) -> Counts:
            return Counts(10, errors)

        Script.act = ten
        async with replica(file.with_suffix(f".{errors}"), quick(**patient)) as running:
            flagger = FlaggerCalls(running)
            await flagger("pre-rollout", "aaa")
            assert (await flagger("confirm-traffic-increase", "aaa")).status == 200
            await asyncio.sleep(INTERVAL + 1)
            said = await flagger("confirm-traffic-increase", "aaa")
            assert (said.status, said.verdict) == (status, "running")


async def test_weight_is_held_until_there_are_numbers_of_the_traffic_that_there_is(file: Path) -> None:
    """The initial delay, and telemetry that does not come, are no reason to send more."""
    policy: dict[str, Any] = {"initial_delay": "30s", "observe": {"min": "1h", "max": "2h"}}
    Script.act = healthy
    async with replica(file, quick(policy=policy)) as running:
        flagger = FlaggerCalls(running)
        await flagger("pre-rollout", "aaa")
        assert (await flagger("confirm-traffic-increase", "aaa")).status == 200
        for status in (409, 409, 409, 200):
            await asyncio.sleep(INTERVAL + 1)
            await flagger("rollout", "aaa")
            assert (await flagger("confirm-traffic-increase", "aaa")).status == status


async def test_after_the_promotion_the_primary_is_looked_at(file: Path) -> None:
    """Once, however often Flagger tells; the watch over pods that are gone ends, and so does this at the next."""
    async with replica(file, quick(policy={"watch": "1h"})) as running:
        flagger = FlaggerCalls(running, "flagger-primary")
        passed = await rolled_out(flagger, "aaa")
        assert (await running.keeper.get(passed.gate)).state is GateState.WATCHING
        for _ in range(2):
            assert (await flagger("post-rollout", "aaa", "Succeeded")).status == 200
        gates = (await running.keeper.list(service="api")).gates
        newest = gates[0]
        assert len(gates) == 2
        assert (newest.candidate.version, newest.candidate.labels) == ("aaa", {"pod": "api-primary"})
        assert newest.baseline is None
        assert (await running.keeper.get(passed.gate)).state is GateState.FINISHED
        await asyncio.sleep(INTERVAL)
        begun = await flagger("pre-rollout", "bbb")
        assert (begun.status, begun.verdict) == (200, "running")
        assert (await running.keeper.get(newest.id)).state is GateState.CANCELLED


async def test_a_rollback_that_could_not_find_its_version_is_refused(file: Path) -> None:
    """Before any traffic is shifted, and with the cure."""
    hooks = {"flagger": {"kind": "flagger", "canaries": {"shop/api": {"service": "api", "rollback": "auto"}}}}
    undo = {"back": {"kind": "kubernetes", "deployment": "api"}}
    async with replica(file, config(hooks=hooks, actions=undo)) as running:
        flagger = FlaggerCalls(running)
        refused = await flagger("pre-rollout", "aaa")
        assert (refused.status, refused.body["errors"][0]["field"]) == (422, "metadata.version")
        named = await flagger("pre-rollout", "aaa", version="1.4.2")
        assert "metadata.version" not in str(named.body)
