"""Which gate belongs to which run of a deploy tool."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from healthd.web.problems import Problem
from healthd_gates.config.hooks.argo_rollouts import ArgoRolloutsConfig
from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.config.hooks.flagger import FlaggerConfig
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.gate import GateState
from healthd_gates.domain.request import Deployment
from healthd_gates.hooks.contract import Run
from healthd_gates.hooks.runs import Runs
from tests.fakes.gates import Replica, Script, config, failing, replica, request

API = Run("flagger", "shop/api", "aaa", Deploys(service="api"), "cluster")


def runs_of(running: Replica) -> Runs:
    return running.gates.runs


async def test_a_run_has_one_gate(file: Path) -> None:
    """However often, and by however many at once, it is asked for."""
    async with replica(file) as running:
        runs = runs_of(running)
        assert await runs.recall(API) is None
        gates = await asyncio.gather(*(runs.begin(API, "2.0") for _ in range(5)))
        assert len({gate.id for gate in gates}) == 1
        begun = await runs.recall(API)
        assert begun is not None
        gate = begun.gate
        assert (gate.id, gate.caller, gate.deployment.id) == (gates[0].id, "hook:flagger", "shop/api aaa")
        assert (gate.deployment.actor, gate.candidate.version, gate.rollback_mode) == ("cluster", "2.0", "off")


async def test_a_call_that_recalled_the_run_before_an_equal_one_started_it_has_the_same_gate(file: Path) -> None:
    """Nor does it cancel that gate; the same where both follow an earlier run of the same name."""
    async with replica(file) as running:
        runs = runs_of(running)
        seen = None
        for _ in range(2):
            first = await runs.begin(API, "2.0")
            late = await runs.start(API, "2.0", after=seen)
            assert late.id == first.id
            assert not (await running.keeper.get(first.id)).is_answered
            assert (await running.keeper.wait(first.id, 600.0)).may_stay
            await runs.close(API)
            seen = await runs.recall(API)


async def test_the_next_run_takes_the_place_of_one_without_a_verdict(file: Path) -> None:
    """Its tool is on to the next version, and the service must not be held for one that is gone."""
    async with replica(file) as running:
        runs = runs_of(running)
        first = await runs.begin(API, "2.0")
        await asyncio.sleep(1)
        second = await runs.begin(replace(API, id="bbb"), "3.0")
        assert second.id != first.id
        assert (await running.keeper.get(first.id)).state is GateState.CANCELLED


async def test_the_same_version_again_is_another_run(file: Path) -> None:
    """An old pass is not taken for the verdict on a deploy that comes weeks later."""
    async with replica(file) as running:
        runs = runs_of(running)
        first = await runs.begin(API, "2.0")
        assert (await running.keeper.wait(first.id, 600.0)).may_stay
        second = await runs.begin(replace(API, id="bbb"), "3.0")
        await running.keeper.wait(second.id, 600.0)
        again = await runs.begin(API, "2.0")
        assert again.id != first.id
        assert not again.is_answered
        assert (await runs.begin(API, "2.0")).id == again.id


async def test_a_version_that_failed_is_tried_again_once_someone_lets_it(file: Path) -> None:
    """Quarantine stands against it until then."""
    async with replica(file) as running:
        runs = runs_of(running)
        Script.act = failing
        first = await runs.begin(API, "2.0")
        await running.keeper.wait(first.id, 600.0)
        assert (await runs.begin(API, "2.0")).id == first.id
        with pytest.raises(refusals.Quarantined):
            await runs.begin(API, "2.0", anew=lambda _begun: True)
        await running.keeper.locks.let_out("api", "2.0", caller="kim", reason="it was the network")
        assert (await runs.begin(API, "2.0", anew=lambda _begun: True)).id != first.id


async def test_a_release_undoes_a_fail(file: Path) -> None:
    """Only one of quarantine can be released; a gate that passed needs none."""
    async with replica(file) as running:
        runs = runs_of(running)
        passed = await runs.begin(API, "1.0")
        await running.keeper.wait(passed.id, 600.0)
        assert not await runs.is_released(await running.keeper.get(passed.id))
        Script.act = failing
        await asyncio.sleep(1)
        failed = await runs.begin(replace(API, id="bbb"), "2.0")
        failed = await running.keeper.wait(failed.id, 600.0)
        assert not await runs.is_released(failed)
        await running.keeper.locks.let_out("api", "2.0", caller="kim", reason="it was the network")
        assert await runs.is_released(failed)


async def test_a_hook_is_what_the_configuration_says_now(file: Path) -> None:
    """One that was taken out of it does not exist, nor does one of another kind."""
    async with replica(file) as running:
        canaries = {"shop/api": {"service": "api"}}
        runs = runs_of(running)
        running.in_force.replace(config(hooks={"f": {"kind": "flagger", "canaries": canaries}}))
        assert list(runs.hook(FlaggerConfig, "f").canaries) == ["shop/api"]
        with pytest.raises(Problem):
            runs.hook(ArgoRolloutsConfig, "f")
        running.in_force.replace(config())
        with pytest.raises(Problem) as refused:
            runs.hook(FlaggerConfig, "f")
        assert refused.value.status == 404


async def test_nobody_elses_gate_is_taken_for_a_runs(file: Path) -> None:
    """Whatever its deployment is called; and it holds the service as any gate does."""
    async with replica(file) as running:
        runs = runs_of(running)
        foreign = await running.keeper.start(request(deployment=Deployment(id="shop/api aaa")), caller="flagger")
        assert await runs.recall(API) is None
        with pytest.raises(refusals.UnknownGate):
            await runs.own("flagger", foreign.id)
        with pytest.raises(refusals.ServiceBusy):
            await runs.begin(API, "2.0")


async def test_what_a_run_leaves_open_ends_with_it(file: Path) -> None:
    """A verdict that there is stays."""
    async with replica(file) as running:
        runs = runs_of(running)
        assert await runs.end(API, "over") is None
        first = await runs.begin(API, "2.0")
        ended = await runs.end(API, "Flagger ended the rollout: Failed")
        assert ended is not None
        assert (ended.id, ended.state) == (first.id, GateState.CANCELLED)
        await asyncio.sleep(1)
        second = await runs.begin(replace(API, id="bbb"), "3.0")
        await running.keeper.wait(second.id, 600.0)
        kept = await runs.end(replace(API, id="bbb"), "over")
        assert kept is not None
        assert kept.may_stay


async def test_a_version_must_have_a_name(file: Path) -> None:
    """Nothing is started for one that has none."""
    async with replica(file) as running:
        with pytest.raises(refusals.InvalidRequest, match="version"):
            await runs_of(running).begin(API, "../2.0")
