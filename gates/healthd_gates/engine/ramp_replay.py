"""Replays a ramp over the past of two versions that ran beside each other: each look is divided as the ramp would have
divided it, and what each version's requests met then is taken to hold for as many as it would have had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.standing import Standing, Verdict
from healthd_gates.engine.rollback_confirmation import bounds_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.virtual_ramp import VirtualRamp, unpaused
from healthd_gates.judge.arms import Reading
from healthd_gates.judge.rules import Rules

USUAL_ACTION = 5.0  # seconds that a change of weight takes, where none was measured


@dataclass(frozen=True, slots=True)
class Replayed:
    """The standing after a look. With a ramp, `weight` is the candidate's share then, `harmed` are the requests so far
    that were bad because of it, and `ramp` is what the gate has of it."""

    standing: Standing
    weight: float | None = None
    harmed: float = 0.0
    ramp: Ramp | None = None


def replayed_ramp(
    spec: GateSpec,
    rules: Rules,
    history: Sequence[Evidence],
    past: Sequence[Evidence],
    start: datetime,
    action: float = USUAL_ACTION,
    earlier: Sequence[Evidence] = (),
) -> Iterator[Replayed]:
    """Yield the look of a ramp over each interval of the past, up to the verdict. A change of weight takes `action`
    seconds; `history` and `earlier` are the judge's."""
    spec = replace(spec, policy=unpaused(spec.policy))
    ramp = VirtualRamp(spec, rules, history, start, action, earlier)
    readings = [bound.reading for bound in bounds_of(spec.policy)]
    harmed = dict.fromkeys(readings, 0.0)
    for each in past:
        share = ramp.share(each.seconds)
        divided = _divided(each, share)
        for reading in readings:
            harmed[reading] += _beyond(reading, divided.candidate, each.baseline)
        standing = ramp.look(divided)
        decision = ramp.gate.decision
        verdict: Verdict | None = decision.verdict if decision is not None else None
        yield Replayed(replace(standing, verdict=verdict), share, max(0.0, *harmed.values()), ramp.gate.ramp)
        if decision is not None:
            return


def _divided(evidence: Evidence, share: float) -> Evidence:
    """Return the evidence as it would have been with this share of the requests at the candidate."""
    candidate, baseline = evidence.candidate, evidence.baseline
    total = sum(arm.requests for arm in (candidate, baseline) if arm is not None)
    return replace(
        evidence,
        candidate=_scaled(candidate, share * total),
        baseline=_scaled(baseline, (1 - share) * total) if share < 1 else None,
    )


def _scaled(arm: Counts | None, requests: float) -> Counts | None:
    """Return the counts of an arm with so many requests instead; one that had none shows none."""
    if arm is None or arm.requests <= 0:
        return arm
    factor = requests / arm.requests
    latency = arm.latency
    if latency is not None:
        counts = tuple(count * factor for count in latency.counts)
        latency = Histogram(latency.edges, counts, latency.sum_seconds * factor)
    return Counts(requests, arm.errors * factor, latency)


def _beyond(reading: Reading, candidate: Counts | None, baseline: Counts | None) -> float:
    """Return the candidate's bad requests beyond the baseline's rate of the same time."""
    read, beside = (reading(arm) if arm is not None else None for arm in (candidate, baseline))
    if read is None:
        return 0.0
    return read[1] - (read[0] * beside[1] / beside[0] if beside is not None and beside[0] > 0 else 0.0)
