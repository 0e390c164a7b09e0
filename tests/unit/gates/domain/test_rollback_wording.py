"""A rollback is told as what it is, wherever it is told."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from healthd_gates.commands.gate_picture import picture
from healthd_gates.commands.gate_words import tell
from healthd_gates.domain.gate import Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.notifications import notices
from healthd_gates.hooks.contract import Told
from healthd_gates.hooks.datadog import rules_of
from healthd_gates.hooks.ecs import answer_on
from healthd_gates.hooks.messages import verdict
from healthd_gates.hooks.spinnaker import StageDocument
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.labels import state_of
from healthd_gates.pages.timeline import timeline
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import DECIDED
from tests.fakes.monitoring import MIDNIGHT

WHY = "A check that must hold failed."
SAID = {
    RollbackState.DUE: r"being rolled back|rolling back|under way|not rolled back yet|not done yet",
    RollbackState.CONFIRMING: r"not confirmed yet|watching it recover",
    RollbackState.ROLLED_BACK: r"rolled back",
    RollbackState.UNSEEN: r"not visible to the source|its source cannot see",
    RollbackState.UNCONFIRMED: r"not confirmed|could not be confirmed|nobody saw it take effect",
    RollbackState.FAILED: r"rollback failed|could not be rolled back",
    RollbackState.IMPOSSIBLE: r"NOT rolled back|nothing to be rolled back to|no baseline to roll back to",
    RollbackState.LEFT: r"does not roll it back|not rolled back by healthd",
}
"""One of these is in every text, for each state."""
CLAIMS = re.compile(r"(?<!not )(?<!be )(?<!being )\brolled back\b", re.IGNORECASE)


def _terminal(gate: Gate) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(picture(GateDocument.of(gate), datetime.now(UTC), 200))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _last_word(gate: Gate) -> str:
    with redirect_stdout(io.StringIO()) as out:
        tell(GateDocument.of(gate), as_json=False)
    return out.getvalue()


def _notice(gate: Gate) -> str:
    [told] = [it for it in notices(replace(gate, rollback=None), gate) if it.about == "rollback"]
    return f"{told.summary} {told.detail}"


OUTLETS: dict[str, Callable[[Gate], str]] = {
    "Flagger, Argo Rollouts": lambda gate: Told.of(gate).sentence,
    "Spinnaker": lambda gate: StageDocument.of(gate, "http://healthd/x").progress,
    "ECS": lambda gate: str(answer_on(gate).hookDetails["healthdSays"]),
    "Datadog": lambda gate: rules_of(gate)[0].reason,
    "GitHub": lambda gate: verdict(gate)[1],
    "notice": _notice,
    "page": lambda gate: state_of(gate)[1],
    "timeline": lambda gate: next(step.note for step in timeline(GateHistory(gate)) if step.title == "Roll back"),
    "terminal": _terminal,
    "command line": _last_word,
}


def rolled(state: RollbackState, detail: str | None) -> Gate:
    gate = DECIDED["fail", Verdict.FAIL]
    rollback = Rollback(state, "decision", WHY, MIDNIGHT, detail=detail)
    over = GateState.ACTING if state.is_under_way else GateState.FINISHED
    return replace(gate, rollback=rollback, state=over)


@pytest.mark.parametrize("detail", [None, "back was given up: answered 404"])
@pytest.mark.parametrize("state", RollbackState)
@pytest.mark.parametrize("outlet", OUTLETS.values(), ids=OUTLETS)
def test_every_outlet_tells_the_state(outlet: Callable[[Gate], str], state: RollbackState, detail: str | None) -> None:
    """What was only called for, or has failed, is never said to be rolled back."""
    said = outlet(rolled(state, detail))
    assert re.search(SAID[state], said, re.IGNORECASE), said
    if state in (RollbackState.DUE, RollbackState.FAILED, RollbackState.IMPOSSIBLE, RollbackState.LEFT):
        assert not CLAIMS.search(said), said


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
@pytest.mark.parametrize("state", RollbackState)
@pytest.mark.parametrize("outlet", OUTLETS)
def test_every_outlet_tells_who_called_for_it(outlet: str, state: RollbackState, verdict: Verdict) -> None:
    """A person's rollback is told under that name, and its gate never as a pass alone."""
    decided = DECIDED["pass" if verdict is Verdict.PASS else "fail", verdict].decision
    rollback = Rollback(state, "person", "checkout is slow", MIDNIGHT, by="ada")
    told = replace(rolled(state, None), decision=decided, rollback=rollback)
    said = OUTLETS[outlet](told)
    if outlet not in ("page", "Datadog", "GitHub"):  # which tell it beside
        assert "ada" in said
    assert re.search(SAID[state], said, re.IGNORECASE), said


@pytest.mark.parametrize("outlet", [_terminal, _last_word])
def test_what_its_watch_rolled_back_did_not_pass(outlet: Callable[[Gate], str]) -> None:
    """On the command line the first word is what people and pipelines read."""
    gate = replace(DECIDED["pass", Verdict.PASS], rollback=Rollback(RollbackState.ROLLED_BACK, "watch", WHY, MIDNIGHT))
    assert outlet(gate).lstrip("✗ ").startswith("fail in the watch, rolled back")


def test_every_state_has_its_words() -> None:
    """Here and in this test."""
    assert set(WORDS) == set(SAID) == set(RollbackState)
