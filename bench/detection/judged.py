"""The product's own judge on a simulated stream: a shipped policy as a gate gets it, with its watch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np

from bench.detection.streams import EDGES, HISTORY_SECONDS, Array, Stream
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Verdict
from healthd_gates.judge.judge import Judge

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """How a gate ended, and when, in seconds after the switch; `rollback` is inf where nothing was rolled back, by the
    gate or by its watch.
    """

    verdict: Verdict
    seconds: float
    rollback: float


def judged(stream: Stream, interval: float, early_pass: bool, name: str = "canary") -> Outcome:
    """What the shipped policy makes of it; without `early_pass` the gate watches for the whole bake."""
    policy = Policy.model_validate(SHIPPED[name] | {"interval": interval})
    rules = policy.verdict_rules()
    if not early_pass:
        rules = replace(rules, timing=replace(rules.timing, minimum=rules.timing.maximum))
    history, evidence = list(_history(stream)), list(_evidence(stream, interval, beside=policy.needs_baseline))
    judge = Judge(rules, history)
    for step, item in enumerate(evidence, 1):
        judge.take(item)
        verdict, _ = judge.decision
        at = step * interval
        match verdict:
            case Verdict.FAIL:
                return Outcome(verdict, at, at)
            case Verdict.INCONCLUSIVE:
                return Outcome(verdict, at, inf)
            case Verdict.PASS:
                later = _watched(policy, history, evidence[:step], evidence[step:], interval)
                return Outcome(verdict, at, at + later)
    return Outcome(Verdict.INCONCLUSIVE, len(evidence) * interval, inf)


def _watched(
    policy: Policy, history: Sequence[Evidence], bake: Sequence[Evidence], rest: Sequence[Evidence], interval: float
) -> float:
    """How many seconds after the pass the watch rolls back; inf if it does not."""
    judge = Judge(policy.watch_rules(), history, bake)
    for step, item in enumerate(rest, 1):
        judge.take(item)
        if judge.decision[0] is Verdict.FAIL:
            return step * interval
    return inf


def _evidence(stream: Stream, interval: float, *, beside: bool) -> Iterator[Evidence]:
    for step in range(stream.n.size):
        yield Evidence(
            at=_START + timedelta(seconds=interval * (step + 1)),
            seconds=interval,
            candidate=_counts(stream.n, stream.x, stream.slow[0], step),
            baseline=_counts(stream.m, stream.y, stream.slow[1], step) if beside else None,
            span=stream.span,
        )


def _history(stream: Stream) -> Iterator[Evidence]:
    requests, bad = stream.history
    for step in range(requests.size):
        yield Evidence(_START, HISTORY_SECONDS, baseline=_counts(requests, bad, stream.slow[2], step))


def _counts(requests: Array, bad: Array, slow: Array, step: int) -> Counts | None:
    if np.isnan(requests[step]):
        return None
    return Counts(float(requests[step]), float(bad[step]), Histogram(EDGES, tuple(slow[step].tolist())))
