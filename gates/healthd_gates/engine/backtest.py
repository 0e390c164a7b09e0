"""Evaluates a policy on past data: the verdict, had the deploy happened then. It changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthd_gates.config.policy import Policy
from healthd_gates.config.settings import Service
from healthd_gates.domain.evidence import Evidence, Standing
from healthd_gates.domain.request import Version
from healthd_gates.engine.history import BEFORE, as_baseline, history_step
from healthd_gates.engine.spec import arms_of
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules
from healthd_gates.sources import build_source, find_kind
from healthd_gates.sources.contract import HistoricalSource, SourceContext


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


def replayed_rules(policy: Policy) -> tuple[Rules, tuple[str, ...]]:
    """Return the policy's rules without the criteria that only a live deploy could answer, and the names of those left
    out.

    Raises NotReplayable when nothing else is left.
    """
    rules = policy.verdict_rules()
    kept = tuple(rule for rule in rules.criteria if rule.reads_traffic)
    if not any(rule.critical for rule in kept):
        raise NotReplayable("the policy has no critical criterion of traffic: checks and smoke requests have no past")
    left_out = tuple(rule.name for rule in rules.criteria if not rule.reads_traffic)
    return replace(rules, criteria=kept), left_out


async def replay(deploy: Deploy, context: SourceContext) -> AsyncIterator[Standing]:
    """Yield the standing after each interval, up to the verdict.

    Raises NotReplayable, ArmError if the source cannot tell the arms apart, SourceUnavailable.
    """
    rules, _ = replayed_rules(deploy.policy)
    service = deploy.service
    if service.source is None:
        raise NotReplayable(f"service {deploy.service_name} has no source")
    if not issubclass(find_kind(service.source.kind), HistoricalSource):
        raise NotReplayable(f"a source of kind {service.source.kind} keeps no past; prometheus does")
    arms = arms_of(deploy.service_name, service, deploy.candidate, deploy.baseline)
    source = build_source(service.source, arms, context)
    assert isinstance(source, HistoricalSource)
    try:
        before = await _before(deploy, source)
        judge = Judge(rules, before)
        longest = deploy.policy.initial_delay + deploy.policy.observe.max + deploy.policy.interval
        end = min(deploy.until, deploy.switched + timedelta(seconds=longest))
        for evidence in await source.history(deploy.switched, end, deploy.policy.interval):
            standing = judge.step(evidence)
            yield standing
            if standing.verdict is not None:
                return
    finally:
        await source.close()


async def _before(deploy: Deploy, source: HistoricalSource) -> list[Evidence]:
    """Return the numbers before the switch, as the baseline."""
    step = history_step(deploy.policy.interval)
    return as_baseline(await source.history(deploy.switched - BEFORE, deploy.switched, step))
