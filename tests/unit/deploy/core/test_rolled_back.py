"""A rollback that a person orders of healthd, where the tool itself undoes nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from healthd_deploy.core.exit import INTERRUPTED
from healthd_gates.domain.gate import Gate, Rollback, RollbackState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import DECIDED
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.deploy.core.test_left_in_place import deployed
from tests.unit.deploy.core.test_live_again import Daemon
from tests.unit.deploy.core.test_put_back import DONE

GREEN = Version(version="1.0", target="green")


def ordered(gate: Gate, state: RollbackState) -> Gate:
    """The gate after `healthd gate rollback` of ana."""
    rollback = Rollback(state, "person", "carts are empty", MIDNIGHT, "ana")
    return replace(gate, candidate=Version(version="2.0", target="blue"), baseline=GREEN, rollback=rollback)


class Ordered(Daemon):
    """Its gate is rolled back by a person while it is waited for, or right after its pass."""

    def __init__(self, state: RollbackState, *, passed: bool = False) -> None:
        super().__init__(Verdict.PASS)
        self.passed = passed
        verdict = DECIDED["pass", Verdict.PASS] if passed else DECIDED["fail", Verdict.FAIL]
        self.end = ordered(verdict, state)

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        yield GateDocument.of(replace(self.end, id=gate_id, rollback=None if self.passed else self.end.rollback))

    async def gate(self, gate_id: str) -> GateDocument:
        return GateDocument.of(replace(self.end, id=gate_id))


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        (RollbackState.ROLLED_BACK, 1, "the traffic is back at green"),
        (RollbackState.CONFIRMING, 1, "the traffic is back at green"),
        (RollbackState.UNSEEN, 1, "the traffic is back at green"),
        (RollbackState.FAILED, 4, "2.0 may still have the traffic"),
        (RollbackState.UNCONFIRMED, 4, "2.0 may still have the traffic"),
        (RollbackState.DUE, 4, "2.0 may still have the traffic"),
    ],
)
@pytest.mark.parametrize("passed", [False, True], ids=["in the gate", "in the second of its pass"])
async def test_the_tool_says_who_has_the_traffic(state: RollbackState, code: int, said: str, *, passed: bool) -> None:
    """And not that the version keeps it, or was promoted; what else it did stays."""
    ended, changed, session = await deployed(Ordered(state, passed=passed), no_rollback=True)
    assert (ended, changed) == (code, DONE)
    told = session.report.sentence(ended)
    assert "ana called for it" in told
    assert "carts are empty" in told
    assert said in told
    assert "--no-rollback" not in told
    assert ("it had the traffic for" in told) == (code == 1)


async def test_an_ordinary_deploy_undoes_its_steps_too() -> None:
    code, changed, _ = await deployed(Ordered(RollbackState.ROLLED_BACK), no_rollback=False)
    assert (code, changed) == (1, [*DONE, "switch to green"])


async def test_what_a_rollback_needs_is_not_retired() -> None:
    """The version passed, and was rolled back while the target before waited to be cleaned up."""
    daemon = Ordered(RollbackState.DUE, passed=True)
    code, changed, _ = await deployed(daemon, no_rollback=False, retire_after=0.0)
    assert (code, changed) == (4, DONE)


class Due(Ordered):
    """Its own actions do not get done in time; `told` holds what a tool says of that."""

    def __init__(self, state: RollbackState) -> None:
        super().__init__(state)
        self.told: list[str] = []

    async def put_back(self, _gate_id: str, reason: str) -> GateDocument:
        self.told.append(reason)
        return GateDocument.of(ordered(self.end, RollbackState.CONFIRMING))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RollbackState.DUE, ["deploy run-1 undid its switch"]),
        (RollbackState.FAILED, ["deploy run-1 undid its switch"]),
        (RollbackState.ROLLED_BACK, []),
        (RollbackState.CONFIRMING, []),
    ],
)
async def test_healthd_is_told_that_the_traffic_is_back(state: RollbackState, told: list[str]) -> None:
    """Where its own rollback is not done: else it calls people for what is over, and keeps the service for it."""
    daemon = Due(state)
    code, changed, session = await deployed(daemon, no_rollback=False)
    assert (code, changed, daemon.told) == (1, [*DONE, "switch to green"], told)
    shown = session.report.gates[-1].rollback
    assert shown is not None
    assert not shown.state.is_open


class CutShort(Due):
    """Its gate fails in the moment in which the tool gets SIGTERM."""

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        yield GateDocument.of(self.end)


async def test_it_is_told_too_by_a_tool_that_saw_no_verdict() -> None:
    daemon = CutShort(RollbackState.DUE)
    code, changed, session = await deployed(daemon, no_rollback=False)
    assert (code, changed, len(daemon.told)) == (INTERRUPTED, [*DONE, "switch to green"], 1)
    assert [gate.rollback is not None for gate in session.report.gates] == [True]
