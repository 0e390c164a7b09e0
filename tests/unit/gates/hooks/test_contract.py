"""A gate in one word, and in a sentence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.contract import Told, Word, decided_for
from tests.fakes.gate_states import DECIDED, PASSED, ROLLBACK, RUNNING
from tests.fakes.monitoring import MIDNIGHT

WORDS = {
    "running": (RUNNING, Word.RUNNING),
    "held for a person": (replace(RUNNING, state=GateState.HELD), Word.RUNNING),
    "passed": (PASSED, Word.PASS),
    "watched": (replace(PASSED, state=GateState.WATCHING), Word.PASS),
    "rolled back after its pass": (replace(PASSED, rollback=ROLLBACK), Word.FAIL),
    "failed": (DECIDED["fail", Verdict.FAIL], Word.FAIL),
    "inconclusive, a fail to its policy": (DECIDED["inconclusive", Verdict.FAIL], Word.FAIL),
    "inconclusive, a pass to its policy": (DECIDED["inconclusive", Verdict.PASS], Word.PASS),
    "rolled back by a person before its verdict": (replace(RUNNING, rollback=ROLLBACK), Word.FAIL),
    "cancelled": (replace(RUNNING, state=GateState.CANCELLED), Word.CANCELLED),
}


@pytest.mark.parametrize(("gate", "word"), WORDS.values(), ids=WORDS)
def test_a_gate_in_one_word(gate: Gate, word: Word) -> None:
    """Only what may stay is a pass; the policy has said what inconclusive counts as."""
    told = Told.of(gate)
    assert (told.verdict, told.gate) == (word, gate.id)
    assert told.sentence


def test_a_verdict_grows_old() -> None:
    """So does being cancelled; what runs is not old at all."""
    later = MIDNIGHT + timedelta(minutes=2)
    cancelled = replace(RUNNING, state=GateState.CANCELLED, finished_at=MIDNIGHT)
    assert [decided_for(gate, later) for gate in (RUNNING, PASSED, cancelled)] == [0.0, 120.0, 120.0]


def test_no_gate_is_no_word() -> None:
    """A tool that asks before anything was begun is not told of a verdict."""
    assert Told.of(None).verdict is None
