"""A ramp as people see it: on the page, in the log, on the terminal."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

from rich.console import Console

from healthd.web.pages.renderer import Renderer
from healthd_gates.commands.gate_picture import bar, picture
from healthd_gates.commands.gate_words import line
from healthd_gates.domain.gate import EventKind, GateEvent, GateState
from healthd_gates.domain.ramp import Ramp
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.log import log
from healthd_gates.pages.page import _PARTS, FOLDER
from healthd_gates.pages.ramp import ramp_view
from healthd_gates.pages.timeline import timeline
from healthd_gates.schema.gate import GateDocument
from healthd_gates.store.serialization import ramp_document
from tests.fakes.gate_states import RUNNING
from tests.fakes.monitoring import MIDNIGHT

RAMP = Ramp(
    until=MIDNIGHT + timedelta(hours=1),
    weight=0.25,
    step=3,
    share=0.2,
    budget=300.0,
    spent=30.0,
    excess=0.04,
    traffic=500.0,
    reaction=30.0,
    allowed=0.9,
    held="the baseline is in trouble too",
    why="little would be harmed",
)
GATE = replace(RUNNING, state=GateState.RAMPING, ramp=RAMP)


def history() -> GateHistory:
    """Two looks, between which it was widened."""
    film = GateHistory(GATE)
    moved = {"from": 0.0625, "to": 0.25, "weight": 0.25, "why": "little would be harmed"}
    told: list[tuple[EventKind, dict[str, Any]]] = [
        (EventKind.LOOK, {"standing": {}, "ramp": ramp_document(replace(RAMP, weight=0.0625, share=None))}),
        (EventKind.RAMP, moved),
        (EventKind.LOOK, {"standing": {}, "ramp": ramp_document(RAMP)}),
    ]
    for number, (kind, body) in enumerate(told, 1):
        film.absorb(GateEvent(GATE.id, number, MIDNIGHT + timedelta(seconds=5 * number), kind, body))
    return film


def test_the_page_draws_weight_share_and_budget() -> None:
    found = ramp_view(history())
    assert found is not None
    assert found.spent == 0.1
    assert found.weight.count("L") == 1
    assert found.share.startswith("M")
    assert "the baseline is in trouble too" in found.sentence
    assert ("share seen", "20 %") in found.numbers
    renderer = Renderer()
    renderer.add(FOLDER)
    renderer._environment = renderer._load()
    drawn = renderer.part(_PARTS, "ramp", found)
    assert 'id="ramp"' in drawn
    assert "30 spent of 300 requests" in drawn
    assert "hidden" in renderer.part(_PARTS, "ramp", None)
    assert ramp_view(GateHistory(RUNNING)) is None


def test_log_and_timeline_tell_the_weight() -> None:
    film = history()
    assert [each.text for each in log(film)] == ["widened from 6.25 % to 25 %: little would be harmed"]
    assert [step.title for step in timeline(film)][:4] == ["Asked", "Settle", "Ramp", "Observe"]
    assert "Ramp" not in [step.title for step in timeline(GateHistory(RUNNING))]


def test_the_terminal_tells_it_too() -> None:
    gate = GateDocument.of(GATE)
    assert gate.ramp is not None
    assert gate.ramp.allowed_weight == 0.9
    assert bar(gate.ramp) == "████▒···············"
    told = "Weight 25 %, 20 % of the requests seen, 30 of 300 requests of the harm budget spent"
    assert told in line(gate)
    console = Console(file=StringIO(), width=200)
    console.print(picture(gate, MIDNIGHT, 200))
    assert isinstance(console.file, StringIO)
    assert told in console.file.getvalue()
