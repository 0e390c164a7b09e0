"""Which rollbacks want a person, and for how long."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from healthd_gates.domain.gate import Decision, Gate, GateState, Page, Rollback, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.troubled_rollbacks import TroubledRollbacks
from healthd_gates.pages.troubles import trouble_of
from tests.fakes.monitoring import HandClock
from tests.unit.gates.engine.test_notifications import GATE, START


def rolled(gate_id: str, state: RollbackState, detail: str | None = None, service: str = "api") -> Gate:
    rollback = Rollback(state, "decision", "errors", START, detail=detail)
    return replace(GATE, id=gate_id, service=service, rollback=rollback, finished_at=START)


def passed(gate_id: str) -> Gate:
    decision = Decision(Verdict.PASS, Verdict.PASS, "harmless", "Fine.", START)
    return replace(GATE, id=gate_id, state=GateState.FINISHED, decision=decision)


class Stored:
    """The ledger's two questions, over a list."""

    def __init__(self, *gates: Gate) -> None:
        self.gates = gates

    async def rollbacks(self, _since: datetime) -> list[Gate]:
        return [gate for gate in self.gates if gate.rollback is not None]

    async def page(self, service: str, *_rest: object) -> Page:
        return Page(tuple(gate for gate in self.gates if gate.service == service), None)


FAILED = rolled("g2", RollbackState.FAILED, "the webhook answered 403")


@pytest.mark.parametrize(
    ("gates", "troubled"),
    [
        ((FAILED,), ["g2"]),
        ((rolled("g2", RollbackState.UNCONFIRMED),), ["g2"]),
        ((rolled("g2", RollbackState.IMPOSSIBLE),), ["g2"]),
        ((rolled("g2", RollbackState.DUE, "tried 3 times"),), ["g2"]),
        ((rolled("g2", RollbackState.DUE),), []),
        ((rolled("g2", RollbackState.CONFIRMING),), []),
        ((rolled("g2", RollbackState.ROLLED_BACK),), []),
        ((passed("g1"), FAILED), ["g2"]),
        ((FAILED, passed("g3")), []),
        ((FAILED, rolled("g3", RollbackState.ROLLED_BACK)), []),
        ((FAILED, replace(GATE, id="g3")), ["g2"]),
        ((FAILED, rolled("g3", RollbackState.FAILED, service="web")), ["g3", "g2"]),
    ],
)
async def test_trouble_lasts_until_the_service_is_well(gates: tuple[Gate, ...], troubled: list[str]) -> None:
    """A later version that passed, or that was rolled back well, ends it; one that is still judged does not."""
    rollbacks = TroubledRollbacks(Stored(*gates), HandClock())  # type: ignore[arg-type]
    await rollbacks.look()
    assert [gate.id for gate in rollbacks()] == troubled


@pytest.mark.parametrize("state", RollbackState)
def test_every_state_has_words(state: RollbackState) -> None:
    """That name the version and what a person must do."""
    trouble = trouble_of(rolled("g2", state, "x"))
    assert "api 2.0" in trouble.sentence
    if state is RollbackState.DUE:
        assert (
            "serving users: x. healthd goes on trying: mend that, or put the traffic back by hand" in trouble.sentence
        )
    else:
        assert "A person must " in trouble.sentence
    assert trouble.address == "/gates/g2/page"


def test_what_the_action_found_is_said_before_what_to_do() -> None:
    """Whoever put a later version in its place need not be told to put the traffic back from that."""
    found = "undo-api was given up: Deployment shop/api: its pods are 2.1, not 2.0."
    assert trouble_of(rolled("g2", RollbackState.FAILED, found)).sentence == (
        "api 2.0 may be serving users: undo-api was given up: Deployment shop/api: its pods are 2.1, not 2.0. "
        "A person must look, and put the traffic back where api 2.0 has it."
    )


async def test_a_bug_of_the_list_is_logged_and_the_list_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again after a while, or once something has changed."""
    troubled = TroubledRollbacks(Stored(FAILED), HandClock())  # type: ignore[arg-type]
    await troubled.look()
    monkeypatch.setattr(Stored, "rollbacks", lambda *_: 1 / 0)
    with capture_logs() as logged:
        running = asyncio.create_task(troubled.run())
        await asyncio.sleep(1)
        running.cancel()
    assert [entry["event"] for entry in logged] == ["failed rollbacks not read for notification"]
    assert [gate.id for gate in troubled()] == ["g2"]
