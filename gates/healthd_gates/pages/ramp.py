"""A ramp on a gate's page: the weight and the share that is seen over time, the budget, and what holds it."""

from __future__ import annotations

from dataclasses import dataclass

from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.ramp_wording import percent, sentence
from healthd_gates.judge.explain import plural, seconds
from healthd_gates.pages.chart import BOTTOM, LEFT, RIGHT, TOP, Tick, line, thin, time_ticks
from healthd_gates.pages.gate_history import GateHistory


@dataclass(frozen=True, slots=True)
class RampView:
    """A ramp. `weight` and `share` are paths in the box of a criterion's chart; `spent` is the part of the budget that
    is spent, from 0 to 1, None while there is no budget yet."""

    sentence: str
    why: str
    numbers: tuple[tuple[str, str], ...]
    spent: float | None
    weight: str
    share: str
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]


def ramp_view(film: GateHistory) -> RampView | None:
    """Return the ramp of a gate, None if it has none."""
    ramp = film.gate.ramp
    if ramp is None:
        return None
    samples = thin(film.widths) if film.widths else ()
    end = max(samples[-1].seconds * 1.02, 30.0) if samples else 30.0

    def x(at: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * min(max(at / end, 0), 1), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * min(max(value, 0), 1), 1)

    spent = None if not ramp.budget else round(min(1.0, ramp.spent / ramp.budget), 3)
    return RampView(
        sentence=sentence(ramp),
        why=f"It was widened because, {ramp.why}." if ramp.why else "",
        numbers=_numbers(ramp),
        spent=spent,
        weight=line(samples, x, y, lambda sample: sample.baseline),
        share=line(samples, x, y, lambda sample: sample.observed),
        xs=time_ticks(end, x),
        ys=tuple(Tick(y(mark), f"{mark:.0%}") for mark in (0.0, 0.5, 1.0)),
    )


def _numbers(ramp: Ramp) -> tuple[tuple[str, str], ...]:
    spent = f"{ramp.spent:,.0f} spent of {plural(round(ramp.budget or 0), 'request')}"
    return (
        ("weight", f"{percent(ramp.weight)}, {plural(ramp.step, 'change')}"),
        ("share seen", "–" if ramp.share is None else percent(ramp.share)),
        ("harm budget", "not known yet" if ramp.budget is None else spent),
        ("may still be bad", f"{percent(ramp.excess)} of its requests, beyond the baseline's"),
        ("the evidence allows", percent(min(1.0, ramp.allowed))),
        ("traffic", f"{ramp.traffic:,.0f} requests a second"),
        ("time to take it back", seconds(ramp.reaction)),
    )
