"""Replays what a gate has seen under another policy: from the evidence that the journal keeps. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthd_gates.domain.evidence import Evidence
from healthd_gates.engine.backtest import NotReplayable, judged, replayed_rules
from healthd_gates.engine.ramp_replay import USUAL_ACTION, Replayed, replayed_ramp
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is stored of a gate. With a ramp it had all of the traffic from `full_at` on, and a change of weight took
    `action_seconds`; both are None without, or where it did not come to it."""

    looks: Sequence[Evidence]
    history: Sequence[Evidence] = ()
    earlier: Sequence[Evidence] = ()
    full_at: datetime | None = None
    action_seconds: float | None = None


def recorded_rules(spec: GateSpec) -> tuple[Rules, tuple[str, ...]]:
    """Return the rules of a policy that stored evidence can answer, and the names of the criteria that are left out:
    also those with a source or series of their own. Raises NotReplayable when nothing else is left."""
    rules, left_out = replayed_rules(spec)
    kept = tuple(rule for rule in rules.criteria if rule.stream is None)
    if not any(rule.critical for rule in kept):
        raise NotReplayable("the policy has no critical criterion of the service's own source: others are not kept")
    return replace(rules, criteria=kept), (*left_out, *(rule.name for rule in rules.criteria if rule not in kept))


def replay_recorded(spec: GateSpec, recorded: Recorded) -> Iterator[Replayed]:
    """Yield the standing after each look, up to the verdict; of a ramp with its weight. Raises NotReplayable.

    A ramp that is not yet to have everything where the recorded one had it ends there: of the baseline nothing is known
    from then on.
    """
    rules, _ = recorded_rules(spec)
    if not recorded.looks:
        raise NotReplayable("nothing is stored of its looks: it had none, or `gates.keep_evaluations` has passed")
    first = recorded.looks[0]
    if spec.policy.ramp is None:
        yield from judged(Judge(rules, recorded.history, (), recorded.earlier), recorded.looks)
        return
    if all(each.baseline is None for each in recorded.looks):
        raise NotReplayable("the policy has a ramp, which compares with the version beside it, and this gate saw none")
    action = USUAL_ACTION if recorded.action_seconds is None else recorded.action_seconds
    began = first.at - timedelta(seconds=first.seconds)
    replayed = replayed_ramp(spec, rules, recorded.history, recorded.looks, began, action, recorded.earlier)
    for each, look in zip(recorded.looks, replayed, strict=False):
        yield look
        if recorded.full_at is not None and each.at >= recorded.full_at and look.ramp and look.ramp.weight < 1.0:
            return
