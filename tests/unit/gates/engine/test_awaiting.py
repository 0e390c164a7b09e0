"""A gate that begins before the switch: nothing passes until somebody says that the traffic is switched."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd.units import stamp
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.engine import transitions
from tests.fakes.gates import Note, Replica, Script, broken, config, healthy, later, over, replica, request, silent


async def begun(running: Replica) -> Gate:
    return await running.keeper.start(request(awaits_switch=True, baseline=Version(version="1.0")), caller="ci")


async def test_no_pass_before_the_switch_is_told(file: Path) -> None:
    """Healthy numbers of a target without traffic, such as a probe's, say nothing; the policy's times begin then."""
    async with replica(file) as running:
        gate = await begun(running)
        await asyncio.sleep(400)  # longer than the policy gives to the evidence
        seen = await running.keeper.get(gate.id)
        assert (seen.state, seen.decision) == (GateState.AWAITING, None)
        told = await running.keeper.interventions.switched(gate.id, caller="ci")
        assert told.state is GateState.SETTLING
        assert (
            timedelta(seconds=330) < told.decides_by - gate.created_at - timedelta(seconds=400) < timedelta(seconds=500)
        )
        await asyncio.sleep(60)
        assert (await running.keeper.get(gate.id)).decision is None
        passed = await running.keeper.wait(gate.id, 600)
        assert passed.may_stay
        assert passed.decision is not None
        assert passed.decision.at - gate.created_at > timedelta(seconds=400 + 30 + 60 - 10)  # two looks
        again = await running.keeper.interventions.switched(gate.id, caller="ci")
        assert again.state is passed.state


async def test_what_was_seen_before_counts_for_nothing_after(file: Path) -> None:
    """Neither for the judge of a replica that takes the gate over."""
    async with replica(file) as running:
        Script.act = later(200, healthy, broken)
        gate = await begun(running)
        await asyncio.sleep(195)
        await running.keeper.interventions.switched(gate.id, caller="ci")
        ended = await running.keeper.wait(gate.id, 600)
        assert ended.decision is not None
        assert ended.decision.verdict is Verdict.FAIL
        assert ended.standing is not None
        (criterion,) = ended.standing.criteria
        assert criterion.requests is not None
        assert criterion.requests < 10_000


async def test_harm_does_not_wait(file: Path) -> None:
    """A tool that was killed after its switch has left a gate that takes the traffic back."""
    Script.act, Note.act = broken, lambda _order: ActionResult(Ending.DONE)
    async with replica(file) as running:
        gate = await begun(running)
        ended = await over(running, gate)
        assert ended.decision is not None
        assert (ended.decision.verdict, len(Note.tried)) == (Verdict.FAIL, 1)


@pytest.mark.parametrize("switched_after", [0, 200, 400])  # the last is longer than the policy gives to the evidence
async def test_harm_is_found_as_soon_after_a_late_switch(file: Path, switched_after: int) -> None:
    """By a gate that nobody tells of it: the time without traffic is no evidence, and uses none up."""
    Script.act, Note.act = later(switched_after, silent, broken), lambda _order: ActionResult(Ending.DONE)
    async with replica(file) as running:
        gate = await begun(running)
        ended = await over(running, gate)
        assert ended.decision is not None
        assert (ended.decision.verdict, len(Note.tried)) == (Verdict.FAIL, 1)
        assert ended.decision.at - gate.created_at <= timedelta(seconds=switched_after + 60)


async def test_a_switch_that_nobody_tells(file: Path) -> None:
    """Its gate ends, and says why."""
    Note.act = lambda _order: ActionResult(Ending.DONE)
    async with replica(file) as running:
        gate = await begun(running)
        ended = await running.keeper.wait(gate.id, 1200)
        assert ended.decision is not None
        assert (ended.decision.verdict, ended.may_stay) == (Verdict.INCONCLUSIVE, False)
        assert ended.decision.sentence.startswith("Nobody has said that the traffic was switched.")


async def test_harm_that_is_suspected_is_said_while_it_is_looked_at(file: Path) -> None:
    """It decides nothing before the switch is told, and the page neither calls the gate over nor conceals it."""
    async with replica(file) as running:
        await begun(running)
        await asyncio.sleep(60)
        (gate,) = (await running.keeper.list()).gates
        assert gate.standing is not None
        up = "The time is up: harm is suspected, yet not proven."
        suspected = replace(
            gate.standing, verdict=Verdict.INCONCLUSIVE, reason=Reason.HARM_SUSPECTED, sentence=up, criteria=()
        )
        spec: Any = None  # which only a decision needs
        step = transitions.on_evaluation(gate, suspected, (), spec, gate.created_at)
        assert (step.gate.state, step.gate.decision) == (GateState.AWAITING, None)
        assert step.gate.standing is not None
        assert step.gate.standing.verdict is None
        until = f"It goes on for proof until {stamp(gate.decides_by)}"
        assert step.gate.standing.sentence == f"{up} {until}: nobody has said yet that the traffic is switched."


async def test_a_lenient_policy_passes_nothing_before_the_switch(file: Path) -> None:
    """It takes little evidence of a version with traffic for enough, and this one may have had none."""
    async with replica(file, config(policy={"inconclusive": "pass"})) as running:
        gate = await begun(running)
        ended = await running.keeper.wait(gate.id, 1200)
        assert ended.decision is not None
        assert (ended.decision.reason, ended.may_stay) == ("not_switched", False)


async def test_a_ramp_has_no_switch(file: Path) -> None:
    ramp = {
        "ramp": {"budget": 100},
        "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
    }
    actions = {"back": {"kind": "note"}, "wide": {"kind": "command", "argv": ["true", "$weight"]}}
    async with replica(file, config(policy=ramp, service={"on_ramp": ["wide"]}, actions=actions)) as running:
        with pytest.raises(InvalidRequest, match="there is no switch to wait for"):
            await begun(running)
