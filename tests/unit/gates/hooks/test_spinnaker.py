"""What a webhook stage sends, and how it reads a gate."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.domain.gate import Gate
from healthd_gates.hooks.contract import Word
from healthd_gates.hooks.spinnaker import STATUSES, Execution, StageDocument, Start, Status
from tests.fakes.gate_states import DECIDED, PASSED, RUNNING

STAGE: dict[str, Any] = json.loads(
    (Path(__file__).parents[4] / "deploy" / "hooks" / "spinnaker-stage.json").read_text(encoding="utf-8")
)


def test_the_stage_lists_every_end() -> None:
    """What it does not list goes on: that is a gate that runs, and nothing else."""
    listed = {STAGE[key] for key in ("successStatuses", "canceledStatuses", "terminalStatuses")}
    assert listed == set(Status) - {Status.RUNNING}
    assert set(STATUSES) == set(Word)
    assert STAGE["successStatuses"] == STATUSES[Word.PASS]


def test_the_stage_sends_what_is_read() -> None:
    """At its start, and when it gives up."""
    told = {"execution": "01HZX3V7Q8", "version": "1.4.2"}
    assert set(Start.model_validate({**STAGE["payload"], **told}).model_dump()) == set(STAGE["payload"])
    assert set(Execution.model_validate({**STAGE["cancelPayload"], "execution": "01H"}).model_dump()) == set(
        STAGE["cancelPayload"]
    )
    with pytest.raises(ValidationError):
        Start.model_validate({**STAGE["payload"], "version": "1.4.2"})  # an expression that was not evaluated


@pytest.mark.parametrize("gate", [RUNNING, PASSED, *DECIDED.values()])
def test_a_stage_reads_text(gate: Gate) -> None:
    """Where the stage looks for it; a progress that is no text would end it."""
    shown = StageDocument.of(gate, "http://healthd/x").model_dump(mode="json")
    for path in (STAGE["statusJsonPath"], STAGE["progressJsonPath"]):
        assert isinstance(shown[path.removeprefix("$.")], str)
