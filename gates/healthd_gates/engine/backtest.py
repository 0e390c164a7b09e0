"""Evaluates a policy on past data: the verdict, had the deploy happened then. It changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthd_gates.config.observed import ReadSource, arms_of
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.config.unanswerable import unanswerable
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.request import Version
from healthd_gates.engine.history import BEFORE, as_baseline, history_step, merged
from healthd_gates.engine.ramp_replay import Replayed, replayed_ramp
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules
from healthd_gates.sources import build_source, find_kind
from healthd_gates.sources.contract import HistoricalSource, Source, SourceContext


class NotReplayable(Exception):  # noqa: N818 - an answer for the person who asked
    """There is no history to evaluate, or nothing in the policy that history could answer."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """A deploy as if it had happened at `switched`, with the numbers known by `until`."""

    service_name: str
    service: Service
    policy: Policy
    candidate: Version
    baseline: Version | None
    switched: datetime
    until: datetime


def replayed_rules(spec: GateSpec) -> tuple[Rules, tuple[str, ...]]:
    """Return the rules of a gate without the criteria that only a live deploy could answer, and the names of those left
    out.

    Raises NotReplayable when nothing else is left.
    """
    rules = spec.verdict_rules
    kept = tuple(rule for rule in rules.criteria if rule.reads_traffic)
    if not any(rule.critical for rule in kept):
        raise NotReplayable("the policy has no critical criterion of traffic: checks and smoke requests have no past")
    left_out = tuple(rule.name for rule in rules.criteria if not rule.reads_traffic)
    return replace(rules, criteria=kept), left_out


async def replay(deploy: Deploy, context: SourceContext) -> AsyncIterator[Replayed]:
    """Yield the standing after each interval, up to the verdict; of a ramp with its weight.

    Raises NotReplayable, ArmError if the source cannot tell the arms apart, SourceUnavailable.
    """
    service, spec = deploy.service, GateSpec(deploy.policy, deploy.service)
    rules, _ = replayed_rules(spec)
    if deploy.policy.needs_source and service.traffic_source is None:
        raise NotReplayable(f"service {deploy.service_name} has no source")
    for problem in unanswerable(service, deploy.policy):
        raise NotReplayable(problem)
    for source in spec.sources:
        if not issubclass(find_kind(source.config.kind), HistoricalSource):
            raise NotReplayable(f"a source of kind {source.config.kind} keeps no past; prometheus does")
    if deploy.policy.ramp is not None and deploy.baseline is None:
        raise NotReplayable("the policy has a ramp, which compares with the version beside it: name it by --baseline")
    arms = arms_of(deploy.service_name, service, deploy.candidate, deploy.baseline)
    opened = [(each, build_source(each.config, arms, each.context(context))) for each in spec.sources]
    try:
        step = history_step(deploy.policy.interval)
        history = as_baseline(await _past(opened, deploy.switched - BEFORE, deploy.switched, step))
        longest = rules.timing.initial_delay + rules.timing.maximum + deploy.policy.interval
        end = min(deploy.until, deploy.switched + timedelta(seconds=longest))
        evidence = await _past(opened, deploy.switched, end, deploy.policy.interval)
        if deploy.policy.ramp is None:
            replayed = judged(rules, Recording(evidence, history))
        else:
            replayed = replayed_ramp(spec, rules, Recording(evidence, history), deploy.switched)
        for look in replayed:
            yield look
    finally:
        for _, reader in opened:
            await reader.close()


def judged(rules: Rules, past: Recording) -> Iterator[Replayed]:
    """Yield the standing after each interval, up to the verdict."""
    judge, learned = Judge(rules, (), (), past.earlier), past.learned
    for place, each in enumerate(past.looks):
        if place == learned:
            judge = Judge(rules, past.history, (), past.earlier)
            for before in past.looks[:place]:
                judge.take(before)
        standing = judge.step(each)
        yield Replayed(standing)
        if standing.verdict is not None:
            return


async def _past(
    opened: Sequence[tuple[ReadSource, Source]], start: datetime, end: datetime, step: float
) -> list[Evidence]:
    """Return the numbers of all sources between two moments."""
    kept = [(what, source) for what, source in opened if isinstance(source, HistoricalSource)]
    return merged([(what, await source.history(start, end, step)) for what, source in kept])
