"""Prints the course of a gate that was replayed."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from healthd.commands.terminal import echo, terminal
from healthd_gates.commands.gate_picture import WIDE, criteria_table, evidence_line
from healthd_gates.commands.ramp_table import after
from healthd_gates.domain import ramp_wording
from healthd_gates.domain.ramp import Ramp
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.schema.standing import StandingDocument

_SHOWN_EVERY = 60.0  # seconds of the past between two lines, unless something changes


def print_json(looks: list[Replayed], left_out: tuple[str, ...]) -> None:
    """Print the verdict, the standing after each look, and the changes of a ramp's weight."""
    standings, weights = [look.standing for look in looks], _weights(looks)
    last = standings[-1]
    document = {
        "verdict": last.verdict,
        "seconds": last.elapsed_seconds,
        "left_out": left_out,
        **({"harmed": looks[-1].harmed, "weights": weights, "steps": _steps(looks)} if looks[-1].ramp else {}),
        "standings": [StandingDocument.of(standing).model_dump(mode="json") for standing in standings],
    }
    click.echo(json.dumps(document, indent=2))


def _weights(looks: list[Replayed]) -> list[tuple[float, float]]:
    """Return the seconds after which a ramp had another weight, and the weight."""
    found: list[tuple[float, float]] = []
    for look in looks:
        if look.weight and (not found or look.weight != found[-1][1]):
            found.append((look.standing.elapsed_seconds, look.weight))
    return found


def _steps(looks: list[Replayed]) -> list[dict[str, Any]]:
    """Return the changes of weight of a ramp, each with the reason for it."""
    return [
        {
            "after": look.standing.elapsed_seconds,
            "weight": ramp.weight,
            "budget": ramp.budget,
            "spent": ramp.spent,
            "excess": ramp.excess,
            "why": ramp.why,
        }
        for before, look in zip([None, *looks], looks, strict=False)
        if (ramp := look.ramp) is not None and ramp.step > _step_of(before)
    ]


def print_replay(title: str, looks: list[Replayed], left_out: tuple[str, ...], note: str = "") -> None:
    """Print the course of a gate for people; `note` is a sentence to end with."""
    console, standings = terminal(), [look.standing for look in looks]
    echo(console, Text(title))
    if left_out:
        echo(console, Text(f"left out, for nothing is kept of them: {', '.join(left_out)}", style="dim"))
    ramps = looks[-1].ramp is not None
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("after", *(("weight", "budget spent") if ramps else ()), "evidence of harm", "how it stood"):
        table.add_column(name)
    for look in _telling(looks):
        widths = () if look.ramp is None else (ramp_wording.percent(look.ramp.weight), _spent(look.ramp))
        standing = look.standing
        table.add_row(after(standing.elapsed_seconds), *widths, f"{standing.e_harm:.3g}", Text(_course(look)))
    echo(console, table)
    last = StandingDocument.of(standings[-1])
    echo(console, criteria_table(last, wide=console.width >= WIDE), evidence_line(last))
    for criterion in last.criteria:
        echo(console, Text(f"  {criterion.sentence}", style="dim"))
    if looks[-1].weight is not None:
        shown = [f"{ramp_wording.percent(weight)} at {after(seconds)}" for seconds, weight in _weights(looks)]
        echo(console, f"It would have had {', '.join(shown) or 'no traffic'}; {looks[-1].harmed:,.0f} requests harmed.")
    if note:
        echo(console, note)
    verdict = standings[-1].verdict
    took = after(last.elapsed_seconds)
    echo(console, Text(f"{verdict} after {took}" if verdict else f"no verdict yet after {took}", style="bold"))


def _spent(ramp: Ramp) -> str:
    return f"{ramp.spent:,.0f} of {ramp.budget:,.0f}" if ramp.budget else "–"


def _course(look: Replayed) -> str:
    """Return why a ramp was widened at this look, or what holds it; or how the gate stood."""
    ramp = look.ramp
    if ramp is None or look.standing.verdict is not None or ramp.is_full:
        return look.standing.sentence
    if ramp.since is not None and ramp.since == look.standing.at:
        return f"Widened: {ramp.why}."
    return f"Held: {ramp.held}." if ramp.held else look.standing.sentence


def _step_of(look: Replayed | None) -> int:
    return look.ramp.step if look is not None and look.ramp is not None else 0


def _telling(looks: list[Replayed]) -> list[Replayed]:
    """The first, the last, those at which something changed, and one a minute."""
    told = [looks[0]]
    for look in looks[1:]:
        late = look.standing.elapsed_seconds - told[-1].standing.elapsed_seconds >= _SHOWN_EVERY
        changed = look.standing.reason is not told[-1].standing.reason or _step_of(look) != _step_of(told[-1])
        if late or changed or look is looks[-1]:
            told.append(look)
    return told
