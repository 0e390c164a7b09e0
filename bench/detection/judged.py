"""The product's own judge on a simulated stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np

from bench.detection.streams import BAKE, EDGES, WARM_UP, Array, Stream
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import ErrorRateRule, LatencyRule, Rules, Timing

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """How a gate ended, and when, in seconds after the switch."""

    verdict: Verdict
    seconds: float

    @property
    def rollback(self) -> float:
        """When it rolled back; inf if it did not."""
        return self.seconds if self.verdict is Verdict.FAIL else inf


def judged(stream: Stream, interval: float, early_pass: bool) -> Outcome:
    """The verdict of a gate with the default policy; without `early_pass` it watches for the whole bake."""
    criterion = ErrorRateRule() if stream.slow is None else LatencyRule(limit=1.0)
    timing = Timing(interval=interval, warm_up=WARM_UP, minimum=120.0 if early_pass else BAKE, maximum=BAKE)
    judge = Judge(Rules((criterion,), timing=timing), list(_history(stream, interval)))
    for step, evidence in enumerate(_evidence(stream, interval), 1):
        judge.take(evidence)
        verdict, _ = judge.decision
        if verdict is not None:
            return Outcome(verdict, step * interval)
    raise AssertionError("a gate ends with a verdict")


def _evidence(stream: Stream, interval: float) -> Iterator[Evidence]:
    candidate_slow, baseline_slow = (None, None) if stream.slow is None else stream.slow[:2]
    for step in range(stream.n.size):
        yield Evidence(
            at=_START + timedelta(seconds=interval * (step + 1)),
            seconds=interval,
            candidate=_counts(stream.n, stream.x, candidate_slow, step),
            baseline=_counts(stream.m, stream.y, baseline_slow, step),
        )


def _history(stream: Stream, interval: float) -> Iterator[Evidence]:
    requests, bad = stream.history
    slow = None if stream.slow is None else stream.slow[2]
    for step in range(requests.size):
        yield Evidence(_START, interval, baseline=_counts(requests, bad, slow, step))


def _counts(requests: Array, bad: Array, slow: Array | None, step: int) -> Counts | None:
    if np.isnan(requests[step]):
        return None
    latency = None if slow is None else Histogram(EDGES, tuple(slow[step].tolist()))
    return Counts(float(requests[step]), float(bad[step]), latency)
