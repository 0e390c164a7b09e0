"""The course of a ramp: how a look widens a release, what holds it, and how it ends before full weight. Pure.

A wider weight is stored together with the order for it, before any action runs: whatever is killed in between, the
candidate never has more than the journal says. A weight is changed only after the one before is done and seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthd.units import show_duration
from healthd_gates.config.policy import Policy
from healthd_gates.domain import ramp_wording
from healthd_gates.domain.action_order import ActionRun, Departed, Occasion, OrderState
from healthd_gates.domain.gate import EventKind, Gate, GateState
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.standing import Standing, Verdict
from healthd_gates.engine.allowing import DOUBTED, stopped_by
from healthd_gates.engine.ramp_pauses import asks_before, pause_before
from healthd_gates.engine.ramp_sighting import Sighting
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Event, Step
from healthd_gates.judge.explain import percent, plural
from healthd_gates.judge.follow import follows
from healthd_gates.judge.ramp import GRAIN, next_weight, usual_budget

_MOST, _FEWEST = 0.5, 20.0  # of all requests, and of them in all: health checks bring each version as many
_ENDED = (OrderState.GIVEN_UP, OrderState.NO_BASELINE)


@dataclass(frozen=True, slots=True)
class End:
    """The end of a ramp, and why; `silent` if the candidate has no requests to show, `strayed` if the traffic goes
    otherwise than was ordered, so that nothing may be made of it."""

    why: str
    silent: bool = False
    strayed: bool = False


def begin(policy: Policy, moment: datetime) -> Ramp | None:
    """Return the ramp of a new gate: nothing yet; None for a policy without one."""
    if policy.ramp is None:
        return None
    return Ramp(until=moment + timedelta(seconds=policy.initial_delay + policy.ramp.longest))


def waits(gate: Gate, verdict: Verdict, spec: GateSpec, moment: datetime) -> bool:
    """Return whether a verdict must wait for the ramp: a pass needs all the traffic, for the shortest time of it, and
    not while a balancer that lost it is given its weights again."""
    if gate.ramp is None or verdict is not Verdict.PASS:
        return False
    full = gate.ramp.full_at
    return full is None or gate.ramp.is_under_way or (moment - full).total_seconds() < spec.policy.observe.min


def is_filled_by(gate: Gate, step: Step) -> bool:
    """Return whether this step finds the candidate with all of the traffic: `observe.max` counts from here."""
    before, after = gate.ramp, step.gate.ramp
    return before is not None and after is not None and after.is_full and not before.is_full


def on_look(
    gate: Gate,
    standing: Standing,
    seen: Sighting,
    orders: Sequence[ActionRun],
    spec: GateSpec,
    moment: datetime,
    gone: Departed | None = None,
) -> tuple[Gate, Step | None, End | None]:
    """Return the gate with its ramp at this look, the step that orders a wider weight, or once more the one that is
    `gone`, if one is due, and the end of a ramp that cannot be finished."""
    ramp, options = gate.ramp, spec.policy.ramp
    if ramp is None or options is None:
        return gate, None, None
    share = seen.requests / seen.total if seen.total else None
    set_by_others = gone.what if gone is not None else ""
    if ramp.is_full:
        ramp = replace(_settled(ramp, orders, standing.at), share=share)
        held = set_by_others or _elsewhere(ramp, seen)
        ramp = replace(ramp, held=held, held_since=(ramp.held_since or moment) if held else None)
    if gone is not None and gone.is_forgotten:
        return _order_again(gate, ramp, gone.what, spec, moment)
    failed = next((order for order in orders if order.state in _ENDED), None)
    unset = End(f"{failed.action} could not set the weight: {failed.detail}") if failed is not None else None
    if ramp.is_full:
        return replace(gate, ramp=ramp), None, unset or _strays(ramp, standing, gate, moment)
    allowance = seen.allowance
    budget = ramp.budget or options.budget or (usual_budget(allowance.traffic) if allowance.traffic else None)
    ramp = replace(
        _settled(ramp, orders, standing.at),
        budget=budget,
        spent=allowance.spent,
        excess=allowance.excess,
        traffic=allowance.traffic,
        reaction=allowance.reaction,
        allowed=allowance.weight(budget) if budget else 0.0,
        share=share,
    )
    if unset is not None:
        return replace(gate, ramp=ramp), None, unset
    if ramp.step and not ramp.is_under_way and seen.silence.lasts(seen.patience):
        return replace(gate, ramp=ramp), None, End(_silent(ramp, seen), silent=True)
    held = set_by_others or _held(ramp, standing, seen, orders)
    if not held and ramp.weight >= 1.0:
        return _full(gate, ramp, spec, moment), None, None
    if not held and gate.state is GateState.SETTLING and ramp.step:
        held = "it is settling"
    weight = ramp.weight if held else next_weight(ramp.weight, ramp.allowed, options.pace)
    if weight > ramp.weight and (mark := asks_before(ramp, weight, options.pause_before)) is not None:
        return pause_before(gate, ramp, mark, moment)
    if weight > ramp.weight:
        return _widen(gate, ramp, weight, spec, moment)
    late = ramp.weight < 1.0 or held
    trouble = f"The ramp is over its time at {percent(ramp.weight)}" if late and moment >= ramp.until else ""
    stands_in_its_way = bool(held) and ramp.pause is None and gate.state is not GateState.SETTLING
    since = (ramp.held_since or moment) if stands_in_its_way else None
    held = held or _too_little(ramp)
    end = End(f"{trouble}: {held}.", strayed=bool(set_by_others)) if trouble else None
    return replace(gate, ramp=replace(ramp, held=held, held_since=since)), None, end


def holds(gate: Gate) -> bool:
    """Return whether a full ramp keeps its gate from any verdict but a fail: the traffic goes otherwise than ordered,
    and what follows a pass may take the baseline away."""
    return gate.ramp is not None and gate.ramp.is_full and bool(gate.ramp.held)


def _strays(ramp: Ramp, standing: Standing, gate: Gate, moment: datetime) -> End | None:
    """Return the end of a full ramp whose traffic goes otherwise than ordered: in time, or where the judge ends it."""
    if not ramp.held or (standing.verdict is not Verdict.INCONCLUSIVE and moment < gate.decides_by):
        return None
    said = f"{standing.sentence} " if standing.verdict is Verdict.INCONCLUSIVE else ""
    return End(f"{said}The traffic does not go as the ramp ordered: {ramp.held}.", strayed=True)


def _full(gate: Gate, ramp: Ramp, spec: GateSpec, moment: datetime) -> Gate:
    """Return the gate whose candidate has all of the traffic: it decides as much sooner as the ramp was."""
    settled = gate.created_at + timedelta(seconds=spec.policy.initial_delay)
    saved = max(timedelta(), ramp.until - max(moment, settled))
    full = replace(ramp, full_at=moment, held="", held_since=None)
    return replace(gate, ramp=full, decides_by=gate.decides_by - saved)


def _widen(gate: Gate, ramp: Ramp, weight: float, spec: GateSpec, moment: datetime) -> tuple[Gate, Step, None]:
    names = spec.ramp_actions
    harm = ramp.excess * weight * ramp.traffic * ramp.reaction
    left = (ramp.budget or 0.0) - ramp.spent
    why = (
        f"even if {percent(ramp.excess)} of its requests were bad beyond the baseline's, {harm:,.1f} would be until it "
        f"is taken back, of {left:,.1f} that the budget has left"
    )
    wider = replace(
        ramp,
        weight=weight,
        step=ramp.step + 1,
        since=moment,
        done_at=None,
        share=None,
        held="it is under way",
        held_since=None,
        why=why,
    )
    told: Event = (EventKind.RAMP, {"weight": weight, "step": wider.step, "from": ramp.weight, "why": why})
    moved = replace(gate, ramp=wider)
    orders = tuple((Occasion.RAMP, name) for name in names)
    return moved, Step(moved, (told,), orders, dict.fromkeys(names, weight)), None


def _order_again(gate: Gate, ramp: Ramp, why: str, spec: GateSpec, moment: datetime) -> tuple[Gate, Step, None]:
    """Order the same weight once more: what the evidence allowed still is allowed, and no other share is."""
    names = spec.ramp_actions
    again = replace(ramp, step=ramp.step + 1, since=moment, done_at=None, share=None, held=why)
    told: Event = (EventKind.RAMP, {"weight": ramp.weight, "step": again.step, "from": ramp.weight, "why": why})
    moved = replace(gate, ramp=again)
    orders = tuple((Occasion.RAMP, name) for name in names)
    return moved, Step(moved, (told,), orders, dict.fromkeys(names, ramp.weight)), None


def _settled(ramp: Ramp, orders: Sequence[ActionRun], at: datetime) -> Ramp:
    """Return the ramp with the results of its actions at a look: done once all are."""
    if not ramp.is_under_way or not orders:
        return ramp
    ends = [order.finished_at for order in orders if order.state in (OrderState.DONE, OrderState.SEEN)]
    if len(ends) < len(orders) or any(end is None for end in ends):
        return ramp
    begun, ended = min(order.created_at for order in orders), max(end for end in ends if end is not None)
    took = max(0.0, (ended - begun).total_seconds())
    return replace(ramp, done_at=at, action_seconds=max(took, ramp.action_seconds or 0.0))


def _held(ramp: Ramp, standing: Standing, seen: Sighting, orders: Sequence[ActionRun]) -> str:
    """Return why the weight may not change now, empty if it may."""
    if ramp.pause is not None and ramp.weight < 1.0:
        return ramp.pause.sentence
    if ramp.is_under_way:
        tried = next((order for order in orders if order.has_failed), None)
        return ramp_wording.not_done(tried.action, tried.detail) if tried else "it is under way"
    if stopped := stopped_by(seen.allowance, ramp.budget, standing):
        return stopped
    if not ramp.step and seen.total >= _FEWEST and seen.requests > _MOST * seen.total:
        return (
            f"the candidate has {percent(seen.requests / seen.total)} of the requests already, and a ramp begins at "
            "nothing: leave the switch to it"
        )
    return _unseen(ramp, standing, seen) if ramp.step else ""


def _unseen(ramp: Ramp, standing: Standing, seen: Sighting) -> str:
    """Return why the share of the last weight is not known to have come, empty if it has."""
    if standing.reason.is_silence or standing.reason in DOUBTED:
        return standing.sentence[:1].lower() + standing.sentence[1:].rstrip(".")
    if not seen.reported:
        return "the candidate sends no numbers"
    match follows(ramp.weight, seen.requests, seen.total):
        case None:
            return "too few requests since the last change to see whether they follow"
        case False:
            return _follows_not(ramp, seen)
    return ""


def _elsewhere(ramp: Ramp, seen: Sighting) -> str:
    """Return that a candidate which had all of the traffic has not any more; empty where it has, or nobody can tell."""
    return "" if ramp.is_under_way or follows(1.0, seen.requests, seen.total) is not False else _follows_not(ramp, seen)


def _follows_not(ramp: Ramp, seen: Sighting) -> str:
    return (
        f"the candidate has {percent(seen.requests / seen.total)} of the requests at a weight of "
        f"{percent(ramp.weight)}: the traffic does not follow, as with sticky sessions or kept connections"
    )


def _silent(ramp: Ramp, seen: Sighting) -> str:
    return (
        f"No request of the candidate was counted for {show_duration(round(seen.silence.seconds))}, in which about "
        f"{plural(round(seen.silence.due), 'request')} were due at a weight of {percent(ramp.weight)}: it may answer "
        "nobody, or the balancer has not followed."
    )


def _too_little(ramp: Ramp) -> str:
    if ramp.weight == 0 and ramp.allowed < GRAIN:
        return (
            f"the budget of {plural(round(ramp.budget or 0), 'request')} allows less than the smallest weight of "
            f"{GRAIN:.2%} at {ramp.traffic:,.0f} requests a second: give more budget"
        )
    return f"the evidence allows {percent(min(1.0, ramp.allowed))}"
