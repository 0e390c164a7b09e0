"""A criterion over time as SVG paths: the confidence interval, the observed value, and the limit. Geometry only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from healthd.units import show_duration
from healthd_gates.domain.standing import CriterionReport
from healthd_gates.pages.gate_history import Sample
from healthd_gates.pages.labels import number

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 352, 8, 130
_HEADROOM = 1.25
_FURTHEST = 4.0  # limits; values beyond are cut, since the limit must stay visible
_POINTS = 150
_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, in the drawing's units."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The drawing of a criterion. Paths are in a box of WIDTH by HEIGHT; `limit` is the height of the limit's line;
    `settled` and `decided` are the positions of these moments."""

    band: str
    observed: str
    baseline: str
    limit: float | None
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    settled: float | None
    decided: float | None


def chart(
    report: CriterionReport, samples: Sequence[Sample], settled: float | None, decided: float | None
) -> Chart | None:
    """Return the drawing of a criterion, None if nothing is measured. Times are seconds since the gate began."""
    if report.unit is None or not samples:
        return None
    few = thin(samples)
    end = max(few[-1].seconds * 1.02, 30.0)
    top = _top(report, few)

    def x(seconds: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * min(max(seconds / end, 0), 1), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * min(max(value / top, 0), 1), 1)

    return Chart(
        band=_band(few, x, y),
        observed=line(few, x, y, lambda sample: sample.observed),
        baseline=line(few, x, y, lambda sample: sample.baseline),
        limit=None if report.limit is None else y(report.limit),
        xs=time_ticks(end, x),
        ys=_value_ticks(report, top, y),
        settled=None if settled is None else x(settled),
        decided=None if decided is None else x(decided),
    )


def _top(report: CriterionReport, samples: Sequence[Sample]) -> float:
    last = samples[-1]
    seen = [value for sample in samples for value in (sample.observed, sample.baseline) if value is not None]
    ends = [value for value in (last.low, last.high) if value is not None and isfinite(value)]
    furthest = max([*seen, *ends, 0.0])
    if report.limit:
        furthest = max(report.limit, min(furthest, _FURTHEST * report.limit))
    return _HEADROOM * furthest or 1.0


def _band(samples: Sequence[Sample], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Return a path forth along the upper ends and back along the lower."""
    known = [sample for sample in samples if sample.low is not None]
    if not known:
        return ""
    upper = [f"{x(s.seconds)} {y(float('inf') if s.high is None else s.high)}" for s in known]
    lower = [f"{x(s.seconds)} {y(s.low or 0.0)}" for s in reversed(known)]
    return f"M{'L'.join([*upper, *lower])}z"


def line(
    samples: Sequence[Sample],
    x: Callable[[float], float],
    y: Callable[[float], float],
    value: Callable[[Sample], float | None],
) -> str:
    """Return a line with gaps where no value is known."""
    path, drawing = "", False
    for sample in samples:
        if (known := value(sample)) is None:
            drawing = False
            continue
        path += f"{'L' if drawing else 'M'}{x(sample.seconds)} {y(known)}"
        drawing = True
    return path


def thin(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return as many samples as can be distinguished, the latest among them."""
    step = ceil(len(samples) / _POINTS)
    return samples[(len(samples) - 1) % step :: step]


def time_ticks(end: float, x: Callable[[float], float]) -> tuple[Tick, ...]:
    step = next((step for step in _STEPS if end / step <= 5), _STEPS[-1])
    return tuple(Tick(x(n * step), show_duration(float(n * step)) if n else "0") for n in range(int(end / step) + 1))


def _value_ticks(report: CriterionReport, top: float, y: Callable[[float], float]) -> tuple[Tick, ...]:
    """Return ticks for 0, the limit, and the top if there is room for it."""
    marks = [0.0, report.limit or top / _HEADROOM]
    if report.limit and top > 1.8 * report.limit:
        marks.append(top / _HEADROOM)
    return tuple(Tick(y(mark), number(mark, report.unit) if mark else "0") for mark in marks)
