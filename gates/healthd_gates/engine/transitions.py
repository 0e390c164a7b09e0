"""The course of a gate: the steps after an evaluation, a verdict, a regression, a person's decision. Pure.

Every function returns the new state of the gate, with all that is stored in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from healthd.journal.journal import AuditEntry
from healthd.units import stamp
from healthd_gates.config.policy import Policy
from healthd_gates.domain.action_order import ActionRun, Departed, Occasion
from healthd_gates.domain.gate import Decision, EventKind, Gate, GateState, QuarantinedVersion, RollbackState
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine import ramping
from healthd_gates.engine.ramp_sighting import Sighting
from healthd_gates.engine.rollback_transitions import end_rollback, start_rollback
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Event, Step, finish
from healthd_gates.store.serialization import decision_document, ramp_document, standing_document

SWITCH_PATIENCE = timedelta(minutes=10)
"""Time for a switch that is awaited, beside that which the policy gives to the evidence."""
_NOTES_TOLD = 3
_DEATHS = {reason.value for reason in Reason if reason.is_death}


def on_evaluation(
    gate: Gate,
    standing: Standing,
    notes: tuple[str, ...],
    spec: GateSpec,
    moment: datetime,
    *,
    departed: Sequence[str] = (),
) -> Step:
    """Process an evaluation of the evidence: go on, or decide. `departed` are the notes on a baseline that is there no
    more."""
    widened = {"ramp": ramp_document(gate.ramp)} if gate.ramp is not None and gate.decision is None else {}
    look: Event = (EventKind.LOOK, {"standing": standing_document(standing), "notes": list(notes), **widened})
    seen = replace(gate, standing=standing, notes=notes)
    if gate.state is GateState.WATCHING:
        if standing.verdict is Verdict.FAIL or standing.reason is Reason.CRASH_LOOPING:
            return on_regression(seen, spec, moment).after(look)
        return Step(seen, (look,))
    if gate.state is GateState.AWAITING:
        return _before_switch(seen, standing, spec, moment, departed=departed).after(look)
    if standing.verdict is not None and not ramping.waits(seen, standing.verdict, spec, moment):
        return on_verdict(seen, standing, spec, moment, departed=departed).after(look)
    after = GateState.OBSERVING if seen.ramp is None or seen.ramp.is_full else GateState.RAMPING
    state = GateState.SETTLING if standing.reason is Reason.SETTLING else after
    changed: tuple[Event, ...] = ((EventKind.STATE, {"state": state.value}),) if state is not gate.state else ()
    return Step(replace(seen, state=state), (look, *changed))


def _before_switch(
    gate: Gate, standing: Standing, spec: GateSpec, moment: datetime, *, departed: Sequence[str]
) -> Step:
    """Process an evaluation before anybody has said that the traffic is switched: harm and a death count, for the tool
    may have been killed after its switch, and nothing else does; a gate that nobody tells ends in time."""
    if standing.verdict is Verdict.FAIL or (standing.verdict is not None and standing.reason.is_death):
        return on_verdict(gate, standing, spec, moment, departed=departed)
    suspicion = f" {standing.sentence}" if standing.reason is Reason.HARM_SUSPECTED else ""
    if moment < gate.decides_by:
        if not suspicion:
            return Step(gate)
        why = "nobody has said yet that the traffic is switched"
        told = f"{standing.sentence} It goes on for proof until {stamp(gate.decides_by)}: {why}."
        return Step(replace(gate, standing=replace(standing, verdict=None, sentence=told)))
    sentence = f"Nobody has said that the traffic was switched.{suspicion}"
    unknown = replace(standing, verdict=Verdict.INCONCLUSIVE, reason=Reason.NOT_SWITCHED, sentence=sentence)
    return on_verdict(replace(gate, standing=unknown), unknown, spec, moment, departed=departed)


def on_switched(gate: Gate, spec: GateSpec, moment: datetime, caller: str) -> Step:
    """Begin to judge: the traffic is switched, and the policy's times count from now."""
    state, later = first_state(spec.policy), moment - gate.created_at - SWITCH_PATIENCE
    switched = replace(gate, state=state, standing=None, decides_by=gate.decides_by + later)
    return Step(switched, ((EventKind.STATE, {"state": state.value, "by": caller, "why": "the traffic is switched"}),))


def first_state(policy: Policy) -> GateState:
    """Return the state in which a gate begins to judge."""
    return GateState.SETTLING if policy.initial_delay else GateState.OBSERVING


def on_ramp_look(
    gate: Gate,
    standing: Standing,
    notes: tuple[str, ...],
    seen: Sighting,
    orders: Sequence[ActionRun],
    spec: GateSpec,
    moment: datetime,
    *,
    departed: Sequence[str] = (),
    gone: Departed | None = None,
) -> Step:
    """Process an evaluation in a ramp, with the `orders` of its last weight, or what is `gone` of it: decide, widen, or
    go on."""
    ramped, wider, end = ramping.on_look(gate, standing, seen, orders, spec, moment, gone)
    if ramping.holds(ramped) and standing.verdict is not Verdict.FAIL:
        standing = replace(standing, verdict=None)
    step = on_evaluation(ramped, standing, notes, spec, moment, departed=departed)
    if step.gate.decision is not None or step.gate.state is GateState.HELD:
        if wider is None and gate.ramp is not None and gate.ramp.is_full:  # its last order may be done by this look
            return step
        return on_evaluation(gate, standing, notes, spec, moment, departed=departed)
    if end is not None:
        return on_ramp_end(step.gate, end, spec, moment).after(*step.events)
    return step if wider is None else replace(wider, gate=step.gate).after(*step.events)


def on_verdict(
    gate: Gate,
    standing: Standing,
    spec: GateSpec,
    moment: datetime,
    *,
    departed: Sequence[str] = (),
    strayed: bool = False,
) -> Step:
    """Process the judge's verdict. Traffic that `strayed` from what was ordered makes no policy lenient."""
    verdict = standing.verdict
    assert verdict is not None
    if verdict is Verdict.INCONCLUSIVE and spec.policy.inconclusive == "hold" and not spec.policy.observes:
        until = moment + timedelta(seconds=spec.policy.hold_timeout)
        held = replace(gate, state=GateState.HELD, decides_by=until)
        return Step(held, ((EventKind.STATE, {"state": held.state.value, "until": until.isoformat()}),))
    paused = gate.ramp is not None and gate.ramp.pause is not None and gate.ramp.weight < 1.0
    # Nobody has let it go on, or nobody knows what its part of the traffic met.
    blind = gate.ramp is not None and gate.ramp.weight < 1.0 and standing.reason.is_silence
    unswitched = gate.state is GateState.AWAITING  # it may never have had traffic
    lenient = spec.policy.inconclusive == "pass" and not (paused or blind or unswitched or strayed)
    promotes = verdict is Verdict.PASS or (verdict is Verdict.INCONCLUSIVE and lenient)
    needless = departed if verdict is Verdict.PASS else ()
    notes = [note for note in gate.notes if note not in needless]
    return decide(gate, decision_of(standing, moment, promotes=promotes, notes=notes), spec)


def on_ramp_end(gate: Gate, end: ramping.End, spec: GateSpec, moment: datetime) -> Step:
    """End a ramp that did not reach full weight, or lost it: inconclusive, and the policy says what that counts as."""
    assert gate.standing is not None
    decided = gate.standing.reason.is_silence or gate.standing.reason is Reason.BASELINE_ALREADY_BAD
    unknown = Reason.NO_TRAFFIC if end.silent else Reason.NOT_ENOUGH_EVIDENCE
    reason = gate.standing.reason if decided else unknown
    standing = replace(gate.standing, verdict=Verdict.INCONCLUSIVE, reason=reason, sentence=end.why)
    return on_verdict(replace(gate, standing=standing), standing, spec, moment, strayed=end.strayed)


def decision_of(standing: Standing, moment: datetime, *, promotes: bool, notes: Sequence[str] = ()) -> Decision:
    """Return the judge's result as a decision, with the `notes` of the last evaluation: they are the cause if numbers
    are missing, and a caveat if there are some.
    """
    assert standing.verdict is not None
    counts_as: Literal[Verdict.PASS, Verdict.FAIL] = Verdict.PASS if promotes else Verdict.FAIL
    telling = [criterion.sentence for criterion in standing.criteria if criterion.critical]
    noted = "; ".join(notes[:_NOTES_TOLD])
    stop = "" if noted.endswith((".", "?", "!")) else "."  # a hint asks: did you mean …?
    said = [f"The source says: {noted}{stop}"] if notes else []
    parts = (*said, *telling) if standing.reason.is_silence else (*telling, *said)
    sentence = " ".join((standing.sentence, *parts))
    return Decision(standing.verdict, counts_as, standing.reason.value, sentence, moment)


def decide(gate: Gate, decision: Decision, spec: GateSpec) -> Step:
    """Make a verdict final: on a pass the watch begins, on a fail the rollback. One that is only observed passes."""
    if spec.policy.observes and decision.by is None:
        sentence = f"Only observed, so that nothing follows. {decision.sentence}"
        decision = replace(decision, counts_as=Verdict.PASS, sentence=sentence, observed=True)
    told: Event = (EventKind.DECISION, decision_document(decision))
    settled = replace(gate, decision=decision, decides_by=min(gate.decides_by, decision.at))
    if decision.counts_as is Verdict.PASS:
        return start_monitoring(settled, spec, decision.at).after(told)
    occasion = Occasion.FAIL if decision.verdict is Verdict.FAIL else Occasion.INCONCLUSIVE
    lost = decision.verdict is Verdict.INCONCLUSIVE and decision.reason in _DEATHS
    unasked = decision.reason == Reason.SOURCE_UNAVAILABLE.value
    # What says nothing of the candidate takes no traffic from it, unless the policy asks for that by its own option.
    acts_on_loss = lost or (unasked and spec.policy.on_loss is not None)
    names = spec.actions_on_loss() if acts_on_loss else spec.actions(occasion)
    step = start_rollback(settled, occasion, "decision", decision.sentence, spec, decision.at, names=names).after(told)
    harmful = decision.verdict is Verdict.FAIL and spec.policy.quarantine
    return replace(step, quarantine=_quarantined(gate, decision.sentence, decision.at)) if harmful else step


def on_regression(gate: Gate, spec: GateSpec, moment: datetime) -> Step:
    """Process harm that the watch has found, or a candidate that restarts again and again."""
    assert gate.standing is not None
    if spec.policy.observes:
        return finish(gate, moment, f"only observed: it would have been rolled back. {gate.standing.sentence}")
    crashed = gate.standing.reason is Reason.CRASH_LOOPING
    names = spec.actions_on_loss() if crashed else None
    step = start_rollback(gate, Occasion.REGRESSION, "watch", gate.standing.sentence, spec, moment, names=names)
    harmful = spec.policy.quarantine and not crashed
    return replace(step, quarantine=_quarantined(gate, gate.standing.sentence, moment)) if harmful else step


def on_monitoring_end(gate: Gate, moment: datetime) -> Step:
    """End the watch, without harm as far as it saw."""
    standing = gate.standing
    if standing is not None and standing.reason.is_silence:
        return finish(gate, moment, f"the watch is over, and saw nothing at its end: {standing.sentence}")
    return finish(gate, moment, "the watch is over")


def manual_rollback(
    gate: Gate, spec: GateSpec, caller: str, reason: str, moment: datetime, key: str | None = None
) -> Step:
    """Start a rollback that a person calls for. An undecided gate fails by it."""
    told: tuple[Event, ...] = ()
    if gate.decision is None:
        decision = Decision(Verdict.FAIL, Verdict.FAIL, "person", reason, moment, caller)
        gate = replace(gate, decision=decision, decides_by=min(gate.decides_by, moment))
        told = ((EventKind.DECISION, decision_document(decision)),)
    step = start_rollback(gate, Occasion.PERSON, "person", reason, spec, moment, by=caller, key=key).after(*told)
    why = f"{caller} called for its rollback: {reason}"
    return replace(
        step,
        quarantine=_quarantined(gate, why, moment) if spec.policy.quarantine else None,
        audit=AuditEntry(caller, "gate.rollback", gate.id, {"reason": reason}),
    )


def on_person_verdict(gate: Gate, verdict: Verdict, spec: GateSpec, caller: str, reason: str, moment: datetime) -> Step:
    """Process a person's decision on a held gate."""
    counts_as: Literal[Verdict.PASS, Verdict.FAIL] = Verdict.PASS if verdict is Verdict.PASS else Verdict.FAIL
    step = decide(gate, Decision(counts_as, counts_as, "person", reason, moment, caller), spec)
    done = "gate.approve" if counts_as is Verdict.PASS else "gate.reject"
    return replace(step, audit=AuditEntry(caller, done, gate.id, {"reason": reason}))


def on_hold_timeout(gate: Gate, spec: GateSpec, moment: datetime) -> Step:
    """Process the timeout of a held gate that nobody decided."""
    reason = gate.standing.reason.value if gate.standing else Reason.NOT_ENOUGH_EVIDENCE.value
    sentence = "The evidence was inconclusive, and nobody decided in time."
    return decide(gate, Decision(Verdict.INCONCLUSIVE, Verdict.FAIL, reason, sentence, moment), spec)


def abort(gate: Gate, sentence: str, spec: GateSpec, moment: datetime, reason: str = "configuration") -> Step:
    """End a gate that cannot go on: its service is gone, or its errors repeat."""
    if gate.rollback is not None and gate.rollback.state.is_under_way:
        return end_rollback(gate, RollbackState.UNCONFIRMED, sentence, moment)
    if gate.decision is not None:
        return finish(gate, moment, sentence)
    return decide(gate, Decision(Verdict.INCONCLUSIVE, Verdict.FAIL, reason, sentence, moment), spec)


def postponed(gate: Gate, seconds: float) -> Gate:
    """Return a gate that decides so many seconds later, if it is not decided: nobody could look meanwhile."""
    if gate.decision is not None or not seconds:
        return gate
    return replace(gate, decides_by=gate.decides_by + timedelta(seconds=seconds))


def cancel(gate: Gate, caller: str, reason: str, moment: datetime) -> Step:
    """End an undecided gate, or the watch after a pass, by a person's request."""
    state = GateState.FINISHED if gate.state is GateState.WATCHING else GateState.CANCELLED
    body = {"state": state.value, "by": caller, "why": reason}
    what = "The watch was ended" if state is GateState.FINISHED else "Cancelled"
    widens = gate.ramp is not None and gate.ramp.is_under_way
    ended = {"ended": "watch after its pass"} if state is GateState.FINISHED else {}
    return Step(
        replace(gate, state=state, finished_at=moment, notes=(f"{what} by {caller}: {reason}",)),
        ((EventKind.STATE, body),),
        audit=AuditEntry(caller, "gate.cancel", gate.id, {**ended, "reason": reason}),
        gives_up=f"cancelled by {caller}" if widens else None,
    )


def start_monitoring(gate: Gate, spec: GateSpec, moment: datetime) -> Step:
    narrow = gate.ramp is not None and gate.ramp.weight < 1.0
    names = dict.fromkeys((*(spec.ramp_actions if narrow else ()), *spec.actions(Occasion.PASS)))
    weights = dict.fromkeys(spec.ramp_actions, 1.0) if narrow else {}
    orders = tuple((Occasion.PASS, name) for name in names)
    if not spec.policy.watch:
        return replace(finish(gate, moment), orders=orders, weights=weights)
    until = moment + timedelta(seconds=spec.policy.watch)
    watching = replace(gate, state=GateState.WATCHING, watch_until=until)
    body = {"state": watching.state.value, "until": until.isoformat()}
    return Step(watching, ((EventKind.STATE, body),), orders, weights)


def _quarantined(gate: Gate, reason: str, moment: datetime) -> QuarantinedVersion:
    return QuarantinedVersion(gate.service, gate.candidate.version, gate.id, moment, reason)
