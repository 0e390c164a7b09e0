"""Replays what a gate has seen under another policy: from the evidence that the journal keeps. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthd_gates.config.policy import Policy
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.domain.recording import Recording
from healthd_gates.engine.backtest import NotReplayable, judged
from healthd_gates.engine.ramp_replay import USUAL_ACTION, Replayed, replayed_ramp
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.rules import Rules

_JUDGED_ALONE = {"critical", "failures", "startup"}
"""Options of a criterion that say what its answers count for, and not what is asked."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A gate that has been: its `recording`, the `policy` under which it was judged, None for one that is no longer
    configured, and when it began. With a ramp it had all of the traffic from `full_at` on, and a change of weight took
    `action_seconds`; both are None without, or where it did not come to it."""

    recording: Recording
    policy: Policy | None = None
    began: datetime | None = None
    full_at: datetime | None = None
    action_seconds: float | None = None


def recorded_rules(spec: GateSpec, recorded: Recorded) -> tuple[Rules, tuple[str, ...]]:
    """Return the rules of a policy that stored evidence can answer, and the names of the criteria that are left out:
    those that ask what the gate's own policy did not ask. Raises NotReplayable when nothing else is left."""
    rules = spec.verdict_rules
    asked = {criterion.name for criterion in spec.policy.criteria if _was_asked(criterion, recorded.policy)}
    kept = tuple(rule for rule in rules.criteria if rule.name in asked)
    if not any(rule.critical for rule in kept):
        raise NotReplayable(
            "the policy has no critical criterion whose numbers this gate has read: others are not kept"
        )
    return replace(rules, criteria=kept), tuple(rule.name for rule in rules.criteria if rule.name not in asked)


def _was_asked(criterion: CriterionConfig, policy: Policy | None) -> bool:
    """Return whether a gate under this policy has the numbers, or the answers, of a criterion."""
    if criterion.reads_traffic and criterion.stream is None:
        return True
    if policy is None:
        return False
    if criterion.reads_traffic and criterion.series is None:
        return any(each.stream == criterion.stream for each in policy.criteria)
    same = next((each for each in policy.criteria if each.name == criterion.name), None)
    if same is None or same.kind != criterion.kind:
        return False
    if criterion.reads_traffic:
        return (same.series, same.named_source) == (criterion.series, criterion.named_source)
    return same.model_dump(exclude=_JUDGED_ALONE) == criterion.model_dump(exclude=_JUDGED_ALONE)


def replay_recorded(spec: GateSpec, recorded: Recorded) -> Iterator[Replayed]:
    """Yield the standing after each look, up to the verdict; of a ramp with its weight. Raises NotReplayable.

    A ramp goes as the recorded one for as long as it decides the same. One that is not yet to have everything where
    the recorded one had it ends there: of the baseline nothing is known from then on.
    """
    rules, _ = recorded_rules(spec, recorded)
    past = recorded.recording
    if not past.looks:
        raise NotReplayable("nothing is stored of its looks: it had none, or `gates.keep_evaluations` has passed")
    first = past.looks[0]
    if spec.policy.ramp is None:
        yield from judged(rules, past)
        return
    if all(each.baseline is None for each in past.looks):
        raise NotReplayable("the policy has a ramp, which compares with the version beside it, and this gate saw none")
    action = USUAL_ACTION if recorded.action_seconds is None else recorded.action_seconds
    began = recorded.began or first.at - timedelta(seconds=first.seconds)
    for each, look in zip(past.looks, replayed_ramp(spec, rules, past, began, action), strict=False):
        yield look
        if recorded.full_at is not None and each.at >= recorded.full_at and look.ramp and look.ramp.weight < 1.0:
            return
