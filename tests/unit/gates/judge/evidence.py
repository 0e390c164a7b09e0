"""Evidence for the tests: intervals of 10 s with given counts."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import inf

from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Observation
from healthd_gates.domain.standing import Standing
from healthd_gates.judge.judge import Judge

START = datetime(2026, 1, 1, tzinfo=UTC)
EDGES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, inf)

Arm = tuple[float, float] | None


def interval(
    candidate: Arm = None,
    baseline: Arm = None,
    *,
    place: int = 0,
    seconds: float = 10.0,
    observations: tuple[Observation, ...] = (),
) -> Evidence:
    """One interval with (requests, errors) of each arm."""
    arms = [Counts(*arm) if arm is not None else None for arm in (candidate, baseline)]
    return Evidence(START + timedelta(seconds=place * seconds), seconds, arms[0], arms[1], observations)


def slow_interval(candidate: tuple[float, ...], baseline: tuple[float, ...] | None = None) -> Evidence:
    """One interval with requests in each latency bucket of each arm."""
    arms = [
        None if counts is None else Counts(sum(counts), 0, Histogram(EDGES, counts, _total(counts)))
        for counts in (candidate, baseline)
    ]
    return Evidence(START, 10.0, arms[0], arms[1])


def _total(counts: tuple[float, ...]) -> float:
    """Seconds, as if every request took its bucket's upper edge."""
    return sum(count * min(edge, 10.0) for count, edge in zip(counts, EDGES, strict=True))


def until_verdict(judge: Judge, evidence: Iterable[Evidence]) -> Standing:
    """Feed the judge until it decides; the last standing if it does not."""
    standing = None
    for item in evidence:
        standing = judge.step(item)
        if standing.verdict is not None:
            return standing
    assert standing is not None
    return standing
