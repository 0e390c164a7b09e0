"""The picture of a criterion."""

import re
from math import inf

from healthd_gates.domain.standing import CriterionReport, Finding, Unit
from healthd_gates.pages.chart import BOTTOM, LEFT, RIGHT, TOP, chart
from healthd_gates.pages.gate_history import Sample


def report(limit: float | None = 0.05, unit: Unit | None = Unit.RATIO) -> CriterionReport:
    return CriterionReport("errors", True, Finding.OPEN, "", limit=limit, unit=unit)


def samples(count: int) -> list[Sample]:
    return [Sample(5.0 * n, 0.0, inf if n < 3 else 0.5 / n, 0.004, None) for n in range(1, count + 1)]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_all_is_within_the_frame() -> None:
    """However wide the interval is at first, infinite too, and however long the gate runs."""
    for count in (1, 2, 7, 149, 150, 151, 4000):
        drawn = chart(report(), samples(count), 30.0, None)
        assert drawn is not None
        found = points(drawn.band) + points(drawn.observed)
        assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in found)
        assert len(found) <= 3 * 150
        assert len(drawn.xs) <= 6


def test_the_limit_stays_visible() -> None:
    """Even when what was observed lies far beyond it."""
    far = [Sample(10.0 * n, 0.9, 1.0, 0.95, None) for n in range(20)]
    drawn = chart(report(), far, None, 100.0)
    assert drawn is not None
    assert drawn.limit is not None
    assert TOP < drawn.limit < BOTTOM - 15
    assert drawn.decided is not None


def test_a_hole_is_a_hole() -> None:
    """What was not observed is not drawn, rather than joined up."""
    seen = [Sample(float(n), None, None, None if n in (3, 4) else 0.1, None) for n in range(8)]
    drawn = chart(report(limit=None), seen, None, None)
    assert drawn is not None
    assert drawn.observed.count("M") == 2
    assert drawn.band == ""
    assert drawn.limit is None


def test_nothing_to_draw() -> None:
    """A criterion without numbers, or without looks, has no picture."""
    assert chart(report(unit=None), samples(3), None, None) is None
    assert chart(report(), [], None, None) is None
