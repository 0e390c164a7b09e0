"""The product's own judge on a simulated stream: a shipped policy as a gate gets it, with its watch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import inf

import numpy as np

from bench.detection.streams import EDGES, HISTORY_SECONDS, Array, Stream
from bench.detection.vectorised.judge import endings
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.comparison import Weighed
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.assumed import Assumed
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rule, Rules

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """How a gate ended, and when, in seconds after the switch; `rollback` is inf where nothing was rolled back, by the
    gate or by its watch.
    """

    verdict: Verdict
    seconds: float
    rollback: float


def shipped(name: str, interval: float, blip: float | None = None) -> Policy:
    """A shipped policy that looks so often, with such a `blip` in place of its own if one is given."""
    changed = {} if blip is None else {"blip": blip}
    return Policy.model_validate(SHIPPED[name] | {"interval": interval} | changed)


def judged(stream: Stream, interval: float, early_pass: bool, policy: Policy) -> Outcome:
    """What the policy makes of it; without `early_pass` the gate watches for the whole bake."""
    rules = policy.verdict_rules()
    if not early_pass:
        rules = replace(rules, timing=replace(rules.timing, minimum=rules.timing.maximum))
    history, evidence = list(history_of(stream)), list(evidence_of(stream, interval, beside=policy.needs_baseline))
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
                later = _watched(policy.watch_rules(), history, evidence[:step], evidence[step:], interval)
                return Outcome(verdict, at, at + later)
    return Outcome(Verdict.INCONCLUSIVE, len(evidence) * interval, inf)


def judged_at_once(streams: Sequence[Stream], interval: float, early_pass: bool, policy: Policy) -> list[Outcome]:
    """What the policy makes of streams whose latencies are steady: those are judged where a gate is about to
    pass, and taken to show no harm.
    """
    rules = policy.verdict_rules()
    (rule,) = (criterion for criterion in policy.criteria if isinstance(criterion, ErrorRate))
    share = rule.weight / sum(criterion.weight for criterion in policy.criteria if isinstance(criterion, Weighed))
    others = [_Others(policy, rules, stream, interval) for stream in streams]
    assert rule.limit is not None
    may_pass = (lambda run, look: others[run].pass_at(look)) if early_pass else None
    found = endings(rules, rule.comparison, rule.limit, share, streams, may_pass)
    outcomes = list[Outcome]()
    for failed, passed, other in zip(found.failed.tolist(), found.passed.tolist(), others, strict=True):
        if failed >= 0:
            outcomes.append(Outcome(Verdict.FAIL, (failed + 1) * interval, (failed + 1) * interval))
        elif passed >= 0:
            at = (passed + 1) * interval
            outcomes.append(Outcome(Verdict.PASS, at, at + other.watched(passed + 1)))
        else:
            outcomes.append(Outcome(Verdict.INCONCLUSIVE, streams[0].n.size * interval, inf))
    return outcomes


class _Others:
    """The product's judge of one stream with an error rate that is taken to hold: all else that a pass waits for."""

    def __init__(self, policy: Policy, rules: Rules, stream: Stream, interval: float) -> None:
        self._policy, self._stream, self._interval = policy, stream, interval
        self._rules = replace(rules, criteria=tuple(_unless(ErrorRate, rule) for rule in rules.criteria))

    @cached_property
    def _evidence(self) -> list[Evidence]:
        return list(evidence_of(self._stream, self._interval, beside=self._policy.needs_baseline))

    @cached_property
    def _history(self) -> list[Evidence]:
        return list(history_of(self._stream))

    @cached_property
    def _judge(self) -> Judge:
        self._seen = 0
        return Judge(self._rules, self._history)

    def pass_at(self, look: int) -> bool:
        """Whether the gate passes at that look if the error rate lets it."""
        judge = self._judge
        while self._seen <= look:
            judge.take(self._evidence[self._seen])
            self._seen += 1
        return judge.decision[0] is Verdict.PASS

    def watched(self, looks: int) -> float:
        """How many seconds after a pass the watch rolls back for its errors; inf if it does not."""
        rules = self._policy.watch_rules()
        rules = replace(rules, criteria=tuple(_unless(Latency, rule) for rule in rules.criteria))
        return _watched(rules, self._history, self._evidence[:looks], self._evidence[looks:], self._interval)


def _unless(kind: type, rule: Rule) -> Rule:
    return Assumed(rule) if isinstance(rule, kind) else rule


def _watched(
    rules: Rules, history: Sequence[Evidence], bake: Sequence[Evidence], rest: Sequence[Evidence], interval: float
) -> float:
    """How many seconds after the pass the watch rolls back; inf if it does not."""
    judge = Judge(rules, history, bake)
    for step, item in enumerate(rest, 1):
        judge.take(item)
        if judge.decision[0] is Verdict.FAIL:
            return step * interval
    return inf


def evidence_of(stream: Stream, interval: float, *, beside: bool) -> Iterator[Evidence]:
    for step in range(stream.n.size):
        yield Evidence(
            at=START + timedelta(seconds=interval * (step + 1)),
            seconds=interval,
            candidate=_counts(stream.n, stream.x, stream.slow[0], step),
            baseline=_counts(stream.m, stream.y, stream.slow[1], step) if beside else None,
            span=stream.span,
        )


def history_of(stream: Stream) -> Iterator[Evidence]:
    requests, bad = stream.history
    for step in range(requests.size):
        yield Evidence(START, HISTORY_SECONDS, baseline=_counts(requests, bad, stream.slow[2], step))


def _counts(requests: Array, bad: Array, slow: Array, step: int) -> Counts | None:
    if np.isnan(requests[step]):
        return None
    return Counts(float(requests[step]), float(bad[step]), Histogram(EDGES, tuple(slow[step].tolist())))
