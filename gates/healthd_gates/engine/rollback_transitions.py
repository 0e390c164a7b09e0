"""The course of a rollback: how it is called for, the results of its actions, how it ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from healthd.journal.journal import AuditEntry
from healthd.units import show_duration
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.domain.gate import EventKind, Gate, GateState, Rollback, RollbackState
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Event, Step, finish

_CARRIED_OUT = (OrderState.DONE, OrderState.SEEN)
_OF_ITSELF = "healthd"
"""The caller, in the audit, of a rollback that nobody called for."""


def start_rollback(
    gate: Gate,
    occasion: Occasion,
    trigger: Literal["decision", "watch", "person"],
    reason: str,
    spec: GateSpec,
    moment: datetime,
    by: str | None = None,
    key: str | None = None,
    names: Sequence[str] | None = None,
) -> Step:
    """Start a rollback, if it is wanted, an action is configured, and there is something to go back to."""
    wanted = gate.rollback_mode == "auto" or occasion is Occasion.PERSON
    names = spec.actions(occasion) if names is None else names
    names, weights = spec.way_back(names)
    orders = tuple((occasion, name) for name in names) if wanted else ()
    if not orders:
        why = "no rollback is asked for" if not wanted else "no rollback action is configured"
        if occasion is not Occasion.REGRESSION:
            return finish(gate, moment, why)
        left = Rollback(RollbackState.LEFT, trigger, reason, moment, round=gate.next_round)
        return end_rollback(replace(gate, rollback=left), RollbackState.LEFT, f"{why[0].upper()}{why[1:]}.", moment)
    rollback = Rollback(RollbackState.DUE, trigger, reason, moment, by, round=gate.next_round, key=key)
    called = replace(gate, rollback=rollback, finished_at=None)
    if occasion is not Occasion.PERSON and (gone := _baseline_is_gone(gate, spec, moment)):
        return end_rollback(called, RollbackState.IMPOSSIBLE, gone, moment)
    acting = replace(called, state=GateState.ACTING)
    told = rollback_event(rollback, reason=reason, actions=[name for _, name in orders])
    audit = AuditEntry(_OF_ITSELF, "gate.rollback", gate.id, {"reason": reason})
    return Step(acting, (told, (EventKind.STATE, {"state": acting.state.value})), orders, weights, audit=audit)


def on_retry(gate: Gate, orders: Sequence[ActionRun]) -> Step | None:
    """Return a step with news of the actions of a rollback that are not done yet; None if there is none."""
    assert gate.rollback is not None
    tried = next((order for order in orders if order.has_failed), None)
    if tried is None:
        return None
    times = "once" if (made := tried.tries + tried.cut_off) == 1 else f"{made} times"
    detail = f"{tried.action} was tried {times} and is not done yet: {tried.detail}{_beside(orders, tried)}"
    return (
        Step(replace(gate, rollback=replace(gate.rollback, detail=detail))) if detail != gate.rollback.detail else None
    )


def on_actions_done(gate: Gate, orders: Sequence[ActionRun], spec: GateSpec, moment: datetime) -> Step:
    """End the actions of a rollback. If they are done, the gate watches the baseline take over."""
    assert gate.rollback is not None
    for order in orders:
        if order.state is OrderState.NO_BASELINE:
            sentence = f"{order.action}: {order.detail}{_beside(orders, order)}"
            return end_rollback(gate, RollbackState.IMPOSSIBLE, sentence, moment)
        if order.state is OrderState.GIVEN_UP:
            sentence = f"{order.action} was given up: {order.detail}{_beside(orders, order)}"
            return end_rollback(gate, RollbackState.FAILED, sentence, moment)
    seen_by = next((order.action for order in orders if order.state is OrderState.SEEN), None)
    gate = replace(gate, rollback=replace(gate.rollback, seen_by=seen_by))
    if gate.baseline is None:
        return unobserved(gate, "the request names no baseline to look at", RollbackState.UNCONFIRMED, moment)
    if spec.service is not None and spec.service.traffic_source is None:
        return unobserved(gate, "the service has no source of traffic numbers", RollbackState.UNSEEN, moment)
    if not spec.policy.confirm_timeout:
        return end_rollback(gate, RollbackState.UNCONFIRMED, "The policy asks for no confirmation.", moment)
    assert gate.rollback is not None
    until = gate.rollback.confirm_until or moment + timedelta(seconds=spec.policy.confirm_timeout)
    rollback = replace(gate.rollback, state=RollbackState.CONFIRMING, detail=None, confirm_until=until)
    return Step(replace(gate, rollback=rollback), (rollback_event(rollback),))


def order_again(gate: Gate, orders: Sequence[ActionRun], why: str) -> Step:
    """Order those actions of a rollback once more whose effect is lost: a round of its own for receivers too. The
    others are not repeated: to go back twice may be to go too far. The time to confirm goes on."""
    assert gate.rollback is not None
    rollback = replace(gate.rollback, state=RollbackState.DUE, detail=why, round=gate.next_round)
    names = [order.action for order in orders]
    told = rollback_event(rollback, reason=why, actions=names)
    weights = {order.action: order.weight for order in orders if order.weight is not None}
    again = tuple((order.occasion, order.action) for order in orders)
    return Step(replace(gate, rollback=rollback), (told,), again, weights)


def unobserved(gate: Gate, why: str, state: RollbackState, moment: datetime) -> Step:
    """End the actions of a rollback of which no numbers can show the effect: an action that has verified it counts, and
    without one the gate ends in `state`."""
    assert gate.rollback is not None
    if (action := gate.rollback.seen_by) is not None:
        return end_rollback(
            gate, RollbackState.ROLLED_BACK, f"{action} has seen the traffic at the baseline; {why}.", moment
        )
    return end_rollback(gate, state, f"Nobody can tell: {why}.", moment)


def recovering(gate: Gate, sentence: str) -> Step:
    """Report that an evaluation after a rollback has not confirmed it yet."""
    assert gate.rollback is not None
    rollback = replace(gate.rollback, detail=sentence)
    return Step(replace(gate, rollback=rollback), (rollback_event(rollback),) if rollback != gate.rollback else ())


def given_up(
    gate: Gate, orders: Sequence[ActionRun], caller: str, reason: str, moment: datetime, *, done: bool
) -> Step:
    """End a rollback by a person's request, whether or not it was done by hand. Its due actions are not retried."""
    assert gate.rollback is not None
    if done:
        sentence = f"{caller} did it by hand: {reason}"
        step = end_rollback(gate, RollbackState.ROLLED_BACK, sentence, moment)
    else:
        sentence = f"{caller} gave it up: {reason}"
        mine = [order for order in orders if order.purpose == gate.rollback.purpose]
        step = end_rollback(gate, RollbackState.FAILED, f"{sentence}{_beside(mine)}", moment)
    return replace(
        step,
        gives_up=sentence,
        audit=AuditEntry(caller, "gate.give_up", gate.id, {"reason": reason, "done": done}),
    )


def put_back(gate: Gate, spec: GateSpec, caller: str, reason: str, moment: datetime) -> Step:
    """End the actions of a rollback because the deploy tool has put the traffic back itself. Its word is that of an
    action: the numbers confirm it, where they can."""
    sentence = f"{caller} has put the traffic back: {reason}"
    assert gate.rollback is not None
    acting = replace(gate, rollback=replace(gate.rollback, detail=sentence), state=GateState.ACTING, finished_at=None)
    audit = AuditEntry(caller, "gate.put_back", gate.id, {"reason": reason})
    return replace(on_actions_done(acting, (), spec, moment), gives_up=sentence, audit=audit)


def end_rollback(gate: Gate, state: RollbackState, sentence: str, moment: datetime) -> Step:
    """End a rollback, successful or not."""
    assert gate.rollback is not None
    rollback = replace(gate.rollback, state=state, detail=sentence)
    return finish(replace(gate, rollback=rollback), moment).after(rollback_event(rollback))


def rollback_event(rollback: Rollback, **more: Any) -> Event:
    body = {"state": rollback.state.value, "trigger": rollback.trigger, "detail": rollback.detail, **more}
    return EventKind.ROLLBACK, body


def _beside(orders: Sequence[ActionRun], told: ActionRun | None = None) -> str:
    """Return which actions of a rollback that is not done are done, and which are not, besides the one that is told."""
    done = [order.action for order in orders if order.state in _CARRIED_OUT]
    left = [order.action for order in orders if order.state not in _CARRIED_OUT and order is not told]
    named = (("done", done), ("not done", left))
    return "".join(f"; {what}: {', '.join(names)}" for what, names in named if names)


def _baseline_is_gone(gate: Gate, spec: GateSpec, moment: datetime) -> str | None:
    """Return why nothing is left to roll back to, as far as the request or the configuration says so."""
    kept = spec.rollback_window(gate.rollback_window)
    decided_at = gate.decision.at if gate.decision else moment
    if kept is None or (moment - decided_at).total_seconds() < kept:
        return None
    return f"The baseline is kept for {show_duration(kept)} after the verdict, and that time is over."
