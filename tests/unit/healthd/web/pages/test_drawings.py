"""Strips and lines as paths."""

import re

import pytest

from healthd.model import Status
from healthd.web.pages.drawings import STEPS, failures, line, strip
from healthd.web.pages.history import Answer


def test_strip() -> None:
    """A bar for each run, the worse the taller; nothing where nothing is known."""
    paths = strip((None, Status.HEALTHY, Status.HEALTHY, Status.UNHEALTHY, Status.HEALTHY, Status.UNKNOWN))
    assert paths == {
        Status.HEALTHY: "M1 0V3h2V0zM4 0V3h1V0z",
        Status.UNHEALTHY: "M3 0V8h1V0z",
        Status.UNKNOWN: "M5 3V6h1V3z",
    }


def answers(*seconds: float) -> list[Answer]:
    return [Answer(s, Status.HEALTHY if s < 9 else Status.UNHEALTHY) for s in seconds]


def points(path: str) -> list[tuple[int, int]]:
    """Where a path of M, l and h goes."""
    found: list[tuple[int, int]] = []
    for command, text in re.findall(r"([Mlh])([-\d ]+)", path):
        x, y = [*map(int, re.findall(r"-?\d+", text)), 0][:2]
        before = found[-1] if found else (0, 0)
        found.append((x, y) if command == "M" else (before[0] + x, before[1] + y))
    return found


@pytest.mark.parametrize("seconds", [[0.1] * 60, [0.1] * 7 + [0.2] * 8 + [9.5], [0.0, 0.0, 0.0]])
def test_line_ends_at_the_right(seconds: list[float]) -> None:
    """However many probes there are, the newest is at the right end and all are within the picture."""
    path = points(line(answers(*seconds)))
    assert path[-1][0] == STEPS - 1
    assert all(0 <= y <= 8 and 0 <= x < STEPS for x, y in path)


def test_flat_is_half_way() -> None:
    """Noise on a fast check does not look like a mountain range."""
    assert {y for _, y in points(line(answers(*[0.001] * 60)))} == {4}


def test_few_answers_make_no_line() -> None:
    """One point is no line."""
    assert line(answers(0.1, 0.2)) == ""


def test_failures_are_marked() -> None:
    """Where they happened, two probes to a step."""
    assert failures(answers(1, 1, 9, 1, 1, 1)) == f"M{STEPS - 2} 0v8"
