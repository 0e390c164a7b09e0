"""A gate with numbers of its own, from the push to the verdict, and across the death of its owner."""

import asyncio
from pathlib import Path
from typing import Any

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.domain.standing import Reason, Verdict
from tests.fakes.gates import Note, Replica, Script, config, healthy, replica, request, start_replica

RATIO = {"kind": "ratio", "name": "checkouts", "of": "all", "bad": "failed", "limit": "5%"}


def shop(*criteria: dict[str, Any], **policy: Any) -> Config:
    """Requests are scripted, what criteria name is pushed."""
    Script.act = healthy
    return config(
        policy={"criteria": [{"kind": "error_rate"}, *criteria], **policy},
        service={"sources": {"business": {"kind": "push"}}},
    )


async def pushed(running: Replica, gate: Gate, counts: dict[str, float], seconds: float, first: int = 0) -> None:
    for number in range(first, first + round(seconds / 5)):
        push = {"id": f"p{number}", "candidate": {"requests": 0, "errors": 0, "series": counts}}
        await running.keeper.push(gate.id, PushedEvidence.model_validate(push), caller="shop")
        await asyncio.sleep(5)


async def test_failed_checkouts_roll_a_release_back(file: Path) -> None:
    async with replica(file, shop({**RATIO, "source": "business"})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await pushed(running, gate, {"all": 100, "failed": 40}, 120)
        decided = await running.keeper.wait(gate.id, 1)
        assert decided.decision is not None
        assert (decided.decision.verdict, decided.decision.reason) == (Verdict.FAIL, Reason.HARM.value)
        assert "The share of bad checkouts is above the limit" in decided.decision.sentence
        assert [order.action for order in await running.keeper.orders(gate.id)] == ["back"]


async def test_one_gate_holds_two_services_and_puts_both_back(file: Path) -> None:
    """The worker's failed jobs count against the release that both are of, and its actions come one after the other."""
    jobs = {
        "kind": "ratio",
        "name": "jobs",
        "of": "jobs_total",
        "bad": "jobs_failed",
        "limit": "5%",
        "source": "worker",
    }
    rules = config(
        policy={"criteria": [{"kind": "error_rate"}, jobs]},
        service={"sources": {"worker": {"kind": "push"}}, "on_fail": ["back", "worker-back"]},
        actions={"back": {"kind": "note"}, "worker-back": {"kind": "note"}},
    )
    Script.act, Note.act = healthy, lambda _order: ActionResult(Ending.DONE)
    async with replica(file, rules) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await pushed(running, gate, {"jobs_total": 100, "jobs_failed": 40}, 50)
        decided = await running.keeper.wait(gate.id, 60)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL
        await asyncio.sleep(30)
        orders = list(await running.keeper.orders(gate.id))
        assert [order.action for order in orders] == ["back", "worker-back"]
        assert [order.state for order in orders] == [OrderState.DONE] * 2


async def test_a_source_that_is_down_decides_nothing(file: Path) -> None:
    """Inconclusive at the end of its time, and the actions of a dead candidate are not carried out."""
    async with replica(file, shop({**RATIO, "source": "business"})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        decided = await running.keeper.wait(gate.id, 600)
        assert decided.decision is not None
        assert (decided.decision.verdict, decided.decision.reason) == (Verdict.INCONCLUSIVE, Reason.NO_SERIES.value)
        assert list(await running.keeper.orders(gate.id)) == []


async def test_it_goes_on_after_the_death_of_its_owner(file: Path) -> None:
    """With the numbers that the dead one has seen, and those that came meanwhile."""
    rules = shop({**RATIO, "source": "business"}, observe={"min": "60s", "max": "10m"})
    first = await start_replica(file, rules)
    gate = await first.keeper.start(request(), caller="ci")
    await pushed(first, gate, {"all": 100, "failed": 0}, 50)
    await first.crash()
    async with replica(file, rules) as running:
        await asyncio.sleep(100)
        await pushed(running, gate, {"all": 1000, "failed": 0}, 5, first=100)
        decided = await running.keeper.wait(gate.id, 300)
        assert decided.decision is not None
        assert (decided.decision.verdict, decided.decision.reason) == (Verdict.PASS, Reason.PROVEN_SAFE.value)
        assert decided.standing is not None
        [own] = [each for each in decided.standing.criteria if each.name == "checkouts"]
        assert own.requests >= 1300
