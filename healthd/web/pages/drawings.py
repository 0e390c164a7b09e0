"""Small drawings as SVG paths: the strip of a day, the line of the last probes. Geometry only; colours and scale are in
the style sheet. Up is positive. Heights distinguish the statuses for readers who cannot rely on colours. A page has
hundreds: bytes count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import median

from healthd.model import Status
from healthd.web.pages.history import Answer

HEIGHT = 8
STEPS = 30
"""Width of the line of the last probes, in units: two probes to one."""
_BARS = {  # foot and top
    Status.HEALTHY: (0, 3),
    Status.DEGRADED: (0, 5),
    Status.UNHEALTHY: (0, HEIGHT),
    Status.UNKNOWN: (3, 6),
}


def strip(spans: Sequence[Status | None]) -> dict[Status, str]:
    """Return a path for each status that occurs, one unit wide for each span: the worse, the taller; unknown floats."""
    paths: dict[Status, str] = {}
    x = 0
    for status, run in groupby(spans):
        width = len(list(run))
        if status is not None:
            foot, top = _BARS[status]
            paths[status] = paths.get(status, "") + f"M{x} {foot}V{top}h{width}V{foot}z"
        x += width
    return paths


def line(answers: Sequence[Answer]) -> str:
    """Return the path of the latencies of the last probes, the newest at the right end; of each pair the slower. A flat
    line is drawn half way up, so that noise does not look like a problem."""
    pairs = _pairs(answers)
    if len(pairs) < 2:
        return ""
    times = [max(answer.seconds for answer in pair) for pair in pairs]
    top = max(max(times), 2 * median(times)) or 1.0
    heights = [1 + round((HEIGHT - 2) * seconds / top) for seconds in times]
    steps = [f"M{STEPS - len(pairs)} {heights[0]}"]
    for change, run in groupby(after - before for before, after in pairwise(heights)):
        count = len(list(run))
        steps.append(f"h{count}" if change == 0 else f"l{count} {change * count}")
    return "".join(steps).replace(" -", "-")


def failures(answers: Sequence[Answer]) -> str:
    """Return the path of marks at the probes with result unhealthy."""
    pairs = _pairs(answers)
    first = STEPS - len(pairs)
    return "".join(
        f"M{first + place} 0v{HEIGHT}"
        for place, pair in enumerate(pairs)
        if any(answer.status is Status.UNHEALTHY for answer in pair)
    )


def _pairs(answers: Sequence[Answer]) -> list[Sequence[Answer]]:
    """Return pairs, so that the newest are complete; the oldest may be alone."""
    odd = len(answers) % 2
    return ([answers[:1]] if odd else []) + [answers[i : i + 2] for i in range(odd, len(answers), 2)]
