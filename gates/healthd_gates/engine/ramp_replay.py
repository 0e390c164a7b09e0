"""Replays a ramp over the past of two versions that ran beside each other: each look is divided as the ramp would have
divided it, and what each version's requests met then is taken to hold for as many as it would have had.

The past of a ramp is taken as it was, look by look, for as long as the replayed one goes the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthd_gates.domain.evidence import Counts, Events, Evidence, Histogram, Numbers
from healthd_gates.domain.ramp import Course, Ramp
from healthd_gates.domain.recording import Recording
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
    spec: GateSpec, rules: Rules, past: Recording, start: datetime, action: float = USUAL_ACTION
) -> Iterator[Replayed]:
    """Yield the look of a ramp over each interval of the past, up to the verdict. A change of weight takes `action`
    seconds, but for those that were made then."""
    assert spec.policy.ramp is not None
    marks, spec = spec.policy.ramp.pause_before, replace(spec, policy=unpaused(spec.policy))
    ramp, learned = VirtualRamp(spec, rules, (), start, action, past.earlier), past.learned
    readings = [bound.reading for bound in bounds_of(spec.policy)]
    harmed = dict.fromkeys(readings, 0.0)
    as_it_was = bool(past.courses)
    for place, each in enumerate(past.looks):
        share = ramp.share(each.seconds)
        met = each if as_it_was else _divided(each, share)
        for reading in readings:
            harmed[reading] += _beyond(reading, met.candidate, each.baseline)
        if place == learned:
            ramp.learn(past.history)
        if as_it_was:
            then = _asked(past.courses.get(each.at), marks)
            standing = ramp.look_again(each, then)
            as_it_was = then is None or (then.step, then.weight) == (ramp.course.step, ramp.course.weight)
        else:
            standing = ramp.look(met)
        decision = ramp.gate.decision
        verdict: Verdict | None = decision.verdict if decision is not None else None
        yield Replayed(replace(standing, verdict=verdict), share, max(0.0, *harmed.values()), ramp.gate.ramp)
        if decision is not None:
            return


def _asked(then: Course | None, marks: Sequence[float]) -> Course | None:
    """Return the course without a pause that the policy would not have made: it asks nobody before that weight."""
    pause = then.pause if then is not None else None
    if then is None or pause is None or pause.before is None or pause.before in marks:
        return then
    return replace(then, pause=None)


def _divided(evidence: Evidence, share: float) -> Evidence:
    """Return the evidence as it would have been with this share of the requests at the candidate."""
    candidate, baseline = evidence.candidate, evidence.baseline
    total = sum(arm.requests for arm in (candidate, baseline) if arm is not None)
    more, fewer = _factor(candidate, share * total), _factor(baseline, (1 - share) * total)
    gone = share >= 1
    streams = {
        name: replace(
            stream,
            candidate=_own_scaled(stream.candidate, more),
            baseline=None if gone else _own_scaled(stream.baseline, fewer),
        )
        for name, stream in evidence.streams.items()
    }
    return replace(
        evidence,
        candidate=_scaled(candidate, more),
        baseline=None if gone else _scaled(baseline, fewer),
        streams=streams,
    )


def _factor(arm: Counts | None, requests: float) -> float:
    """Return the factor by which an arm had more requests; one that had none shows none."""
    return requests / arm.requests if arm is not None and arm.requests > 0 else 1.0


def _scaled(arm: Counts | None, factor: float) -> Counts | None:
    """Return the counts of an arm with so many times as many requests."""
    if arm is None or factor == 1.0:
        return arm
    latency, strata = arm.latency, {name: (n * factor, x * factor) for name, (n, x) in arm.strata.items()}
    if latency is not None:
        counts = tuple(count * factor for count in latency.counts)
        latency = Histogram(latency.edges, counts, latency.sum_seconds * factor)
    return Counts(arm.requests * factor, arm.errors * factor, latency, strata)


def _own_scaled(arm: Numbers | None, factor: float) -> Numbers | None:
    """Return a criterion's own numbers with so many times as many requests. A measured value, and events that are
    counted by themselves, such as restarts, stay as they were."""
    if isinstance(arm, Counts):
        return _scaled(arm, factor)
    if isinstance(arm, Events) and arm.requests is not None:
        return replace(arm, events=arm.events * factor, requests=arm.requests * factor)
    return arm


def _beyond(reading: Reading, candidate: Counts | None, baseline: Counts | None) -> float:
    """Return the candidate's bad requests beyond the baseline's rate of the same time."""
    read, beside = (reading(arm) if arm is not None else None for arm in (candidate, baseline))
    if read is None:
        return 0.0
    return read[1] - (read[0] * beside[1] / beside[0] if beside is not None and beside[0] > 0 else 0.0)
