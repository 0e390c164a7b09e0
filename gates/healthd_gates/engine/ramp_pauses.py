"""The pauses of a ramp: a person stops it where it is, or the policy asks one before a weight; a person lets it go on.
Pure.

A pause stops the widening and nothing else: the gate goes on judging, harm goes back to 0, and the time of the ramp
runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from healthd.journal.journal import AuditEntry
from healthd_gates.domain.errors import InvalidRequest, NotRamping
from healthd_gates.domain.gate import EventKind, Gate, GateState
from healthd_gates.domain.ramp import Pause, Ramp
from healthd_gates.engine.step import Event, Step


def asks_before(ramp: Ramp, weight: float, marks: Sequence[float]) -> float | None:
    """Return the lowest of the policy's marks that a weight would reach and that no person has let pass, None if there
    is none."""
    return next((mark for mark in sorted(marks) if ramp.cleared < mark <= weight), None)


def pause_before(gate: Gate, ramp: Ramp, mark: float, moment: datetime) -> tuple[Gate, Step, None]:
    """Pause where the policy asks a person before a weight."""
    pause = Pause(ramp.pauses + 1, moment, before=mark)
    paused = replace(gate, ramp=replace(ramp, pause=pause, pauses=pause.number, held=pause.sentence, held_since=None))
    told: Event = (EventKind.RAMP, {"pause": pause.number, "before": mark, "weight": ramp.weight})
    return paused, Step(paused, (told,)), None


def may_pause(gate: Gate) -> bool:
    """Return whether a pause would change something. Raises NotRamping for a gate that widens nothing, or no more."""
    return _ramp_of(gate).pause is None


def pause(gate: Gate, caller: str, reason: str, moment: datetime) -> Step:
    """Pause a ramp by a person's request. A change of weight that was ordered is still carried out."""
    ramp = _ramp_of(gate)
    paused = Pause(ramp.pauses + 1, moment, caller, reason)
    told: Event = (EventKind.RAMP, {"pause": paused.number, "by": caller, "why": reason, "weight": ramp.weight})
    return Step(
        replace(gate, ramp=replace(ramp, pause=paused, pauses=paused.number, held=paused.sentence, held_since=None)),
        (told,),
        audit=AuditEntry(caller, "gate.pause", gate.id, {"reason": reason}),
    )


def may_resume(gate: Gate, number: int | None) -> bool:
    """Return whether a pause is to end: the one of that number, or whichever there is. One that is over stays so: a
    call that arrives twice lets no later pause pass. Raises NotRamping, InvalidRequest."""
    ramp = _ramp_of(gate)
    if number is not None and number > ramp.pauses:
        raise InvalidRequest(field="pause", problem=f"there is no pause {number}, so far there were {ramp.pauses}")
    return ramp.pause is not None and number in (None, ramp.pause.number)


def resume(gate: Gate, caller: str, reason: str) -> Step:
    """Let a ramp go on by a person's request, beyond the weight before which the policy asks."""
    ramp = _ramp_of(gate)
    assert ramp.pause is not None
    cleared = max(ramp.cleared, ramp.pause.before or 0.0)
    body = {"resume": ramp.pause.number, "before": ramp.pause.before, "by": caller, "why": reason}
    told: Event = (EventKind.RAMP, {**body, "weight": ramp.weight})
    return Step(
        replace(gate, ramp=replace(ramp, pause=None, cleared=cleared, held="")),
        (told,),
        audit=AuditEntry(caller, "gate.resume", gate.id, {"reason": reason, "before": ramp.pause.before}),
    )


def _ramp_of(gate: Gate) -> Ramp:
    ramp = gate.ramp
    if ramp is None or gate.state not in (GateState.SETTLING, GateState.RAMPING) or ramp.weight >= 1.0:
        stands = "given all the traffic" if ramp is not None and ramp.weight >= 1.0 else gate.state.value
        raise NotRamping(gate_id=gate.id, state=stands)
    return ramp
