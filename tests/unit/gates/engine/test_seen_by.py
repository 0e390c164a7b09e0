"""What confirms a rollback: numbers of the traffic, or an action that has looked; never a source that sees none."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.criteria.contract import Bound
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Gate, Rollback, RollbackState
from healthd_gates.domain.request import PushedCounts, PushedEvidence, Version
from healthd_gates.engine.rollback_confirmation import Recovery
from healthd_gates.judge.arms import errors
from tests.fakes.gates import Note, Replica, Script, ScriptedConfig, config, over, replica, request
from tests.fakes.monitoring import MIDNIGHT

TOLD, LOOKED = ActionResult(Ending.DONE, "told"), ActionResult(Ending.DONE, "read it", seen=True)
Act = Callable[[float], Any]


def after_the_action(candidate: Counts | None, baseline: Counts | None) -> Act:
    """Every other request of the candidate fails until an action was carried out."""
    return lambda _: (candidate, baseline) if Note.tried else (Counts(1000, 500), Counts(0, 0))


async def rolled_back(running: Replica, **asked: Any) -> Rollback:
    gate = await running.keeper.start(request(**{"baseline": Version(version="1.0"), **asked}), caller="ci")
    return await end_of(running, gate)


async def end_of(running: Replica, gate: Gate) -> Rollback:
    ended = (await over(running, gate)).rollback
    assert ended is not None
    return ended


@pytest.mark.parametrize(
    ("outcome", "baseline", "state", "says"),
    [
        (LOOKED, Counts(50, 0), RollbackState.ROLLED_BACK, "back has seen the traffic at the baseline. The baseline"),
        (TOLD, Counts(50, 0), RollbackState.UNSEEN, "Who has the traffic is not visible to this source."),
        (TOLD, Counts(50, 25), RollbackState.UNCONFIRMED, "50.0% of its requests failed"),
        (LOOKED, Counts(50, 25), RollbackState.UNCONFIRMED, "50.0% of its requests failed"),
    ],
    ids=["the action looked", "nobody looked", "a bad baseline", "the action looked at a bad baseline"],
)
async def test_a_source_that_sends_its_own_requests(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: ActionResult,
    baseline: Counts,
    state: RollbackState,
    says: str,
) -> None:
    """It sends as many to the candidate as to the baseline, which is nobody's traffic."""
    monkeypatch.setattr(ScriptedConfig, "sees_traffic", False)
    Script.act, Note.act = after_the_action(Counts(50, 25), baseline), lambda _order: outcome
    async with replica(file, config(policy={"confirm_timeout": "1m"})) as running:
        rollback = await rolled_back(running)
        assert rollback.state is state
        assert says in (rollback.detail or "")
        assert rollback.state.wants_a_person == (state is RollbackState.UNCONFIRMED)


@pytest.mark.parametrize(
    ("candidate", "baseline", "asked", "state"),
    [
        (Counts(0, 0), Counts(0, 0), {}, RollbackState.UNCONFIRMED),
        (Counts(0, 0), Counts(200, 0), {}, RollbackState.ROLLED_BACK),
        (Counts(300, 0), Counts(1000, 0), {}, RollbackState.UNCONFIRMED),
        (None, None, {"baseline": None}, RollbackState.ROLLED_BACK),
    ],
    ids=["nobody has the traffic", "fewer call than before", "the candidate still has traffic", "no baseline is named"],
)
async def test_the_word_of_an_action_that_looked(
    file: Path, candidate: Any, baseline: Any, asked: dict[str, Any], state: RollbackState
) -> None:
    """It counts where the numbers do not tell, and not against what they say."""
    Script.act, Note.act = after_the_action(candidate, baseline), lambda _order: LOOKED
    async with replica(file, config(policy={"confirm_timeout": "1m"})) as running:
        assert (await rolled_back(running, **asked)).state is state


async def test_pushes_are_taken_until_the_rollback_is_confirmed(file: Path) -> None:
    """Also while its action is tried; between two pushes nothing is new, which is no news."""
    Note.act = lambda _order: TOLD if len(Note.tried) > 2 else ActionResult(Ending.RETRY, "503")
    numbers = 0

    async def push(running: Replica, gate: Gate, candidate: tuple[int, int], baseline: tuple[int, int]) -> None:
        nonlocal numbers
        numbers += 1
        counts = [PushedCounts(requests=requests, errors=bad) for requests, bad in (candidate, baseline)]
        pushed = PushedEvidence(id=str(numbers), candidate=counts[0], baseline=counts[1])
        await running.keeper.push(gate.id, pushed, caller="shipper")

    async with replica(file, config(service={"source": {"kind": "push"}})) as running:
        gate = await running.keeper.start(request(baseline=Version(version="1.0")), caller="ci")
        while not (now := await running.keeper.get(gate.id)).state.is_over:
            bad = now.rollback is None or now.rollback.state is RollbackState.DUE
            await push(running, gate, (500, 250) if bad else (0, 0), (0, 0) if bad else (500, 1))
            await asyncio.sleep(12)
        rollback = await end_of(running, gate)
        assert (rollback.state, rollback.detail) == (
            RollbackState.ROLLED_BACK,
            "The baseline has the traffic: 1,000 requests, 2 of them failed.",
        )


def test_what_is_not_new_is_no_news() -> None:
    """Numbers that come every other look confirm as those that come at each."""
    recovery = Recovery([Bound("failed", errors, 0.05)], 100.0)
    for baseline in (Counts(1000, 0), None, Counts(1000, 0)):
        candidate = None if baseline is None else Counts(0, 0)
        recovery.take(Evidence(MIDNIGHT, 5.0, candidate, baseline), ())
    assert recovery.is_confirmed
