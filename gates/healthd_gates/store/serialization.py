"""Gates and their parts ↔ rows and JSON. Infinite bucket edges become the text `Infinity`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, ValidationError

from healthd.checks.failures import describe
from healthd.journal.errors import JournalError
from healthd.validation_words import first_in_words
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import Decision, EventKind, Gate, GateEvent, GateState, Rollback
from healthd_gates.domain.ramp import Course, Ramp
from healthd_gates.domain.request import Deployment, VerifyRequest
from healthd_gates.domain.standing import Standing

_TIMES = ("created_at", "decides_by", "watch_until", "finished_at")


class _Document(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings", defer_build=True)


class _Standing(_Document):
    it: Standing


class _Evidence(_Document):
    it: list[Evidence]


class _Decision(_Document):
    it: Decision


class _Rollback(_Document):
    it: Rollback


class _Ramp(_Document):
    it: Ramp


class _At(_Document):
    at: datetime


def has_deployment(request: sa.ColumnElement[str], deployment: str) -> sa.ColumnElement[bool]:
    """Return the condition that a stored request names this deployment's id. The id comes first in its object, and a
    quotation mark within a text is escaped, so that no other field has this; unlike LIKE, REPLACE minds case in SQLite
    too."""
    named = '"deployment":' + Deployment(id=deployment).model_dump_json(include={"id"}).removesuffix("}")
    return sa.func.replace(request, named, "") != request


def standing_document(standing: Standing) -> dict[str, Any]:
    """Return the judge's result as JSON."""
    document: dict[str, Any] = json.loads(_Standing(it=standing).model_dump_json())["it"]
    return document


def decision_document(decision: Decision) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_Decision(it=decision).model_dump_json())["it"]
    return document


def ramp_document(ramp: Ramp) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_Ramp(it=ramp).model_dump_json())["it"]
    return document


def write_evidence(evidence: Sequence[Evidence]) -> str:
    return _Evidence(it=list(evidence)).model_dump_json()


def read_evidence(text: str) -> list[Evidence]:
    return _Evidence.model_validate_json(text).it


def read_course(look: GateEvent) -> tuple[datetime, Course] | None:
    """Return the time of a look in the log, and where the ramp was after it; None for one without a ramp."""
    if not look.body.get("ramp"):
        return None
    return _At.model_validate(look.body["standing"]).at, _Ramp.model_validate({"it": look.body["ramp"]}).it.course


class UnreadableGate(JournalError):  # noqa: N818 - a state of the row, which another release may end
    """A row that this release cannot read: another one wrote it, or it is broken. It concerns this gate alone."""

    def __init__(self, gate_id: str, error: Exception) -> None:
        self.gate_id = gate_id
        super().__init__(
            f"what is stored of gate {gate_id} cannot be read by this release of healthd: {_in_short(error)}"
        )


@contextmanager
def reading(gate_id: str) -> Iterator[None]:
    """Turn any error in a row of the gate's into UnreadableGate."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableGate(gate_id, error) from error


def _in_short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_in_words(error)
    return describe(error)


def read_gate(row: sa.RowMapping, *, to_run: bool = False) -> Gate:
    """Return a row of `gates` as a value. Additions of a newer release are ignored if the gate is only shown, and
    refused if it is `to_run`: they may change the decision. Raises UnreadableGate."""
    with reading(row["id"]):
        return _gate(row, VerifyRequest.model_validate_json(row["request"], extra=None if to_run else "ignore"))


def _gate(row: sa.RowMapping, request: VerifyRequest) -> Gate:
    for name in _TIMES:
        if not isinstance(row[name], datetime | None):
            raise ValueError(f"{name} is no time")
    return Gate(
        id=row["id"],
        service=row["service"],
        policy=row["policy"],
        candidate=request.candidate,
        baseline=request.baseline,
        deployment=request.deployment,
        rollback_mode=request.rollback,
        caller=row["caller"],
        state=GateState(row["state"]),
        created_at=row["created_at"],
        decides_by=row["decides_by"],
        rollback_window=request.rollback_window,
        awaits_switch=request.awaits_switch,
        standing=_Standing.model_validate_json(row["standing"]).it if row["standing"] else None,
        decision=_Decision.model_validate_json(row["decision"]).it if row["decision"] else None,
        rollback=_Rollback.model_validate_json(row["rollback"]).it if row["rollback"] else None,
        ramp=_Ramp.model_validate_json(row["ramp"]).it if row["ramp"] else None,
        watch_until=row["watch_until"],
        finished_at=row["finished_at"],
        notes=tuple(json.loads(row["notes"])) if row["notes"] else (),
        sequence=int(row["sequence"]),
        holder=row["owner"],
    )


def changing_columns(gate: Gate) -> dict[str, Any]:
    """Return the columns of a gate that change in its life, except for its owner."""
    return {
        "holds": gate.service if gate.state.holds_service else None,
        "state": gate.state.value,
        "decides_by": gate.decides_by,
        "standing": _Standing(it=gate.standing).model_dump_json() if gate.standing else None,
        "verdict": gate.decision.verdict.value if gate.decision else None,
        "decision": _Decision(it=gate.decision).model_dump_json() if gate.decision else None,
        "rollback": _Rollback(it=gate.rollback).model_dump_json() if gate.rollback else None,
        "ramp": _Ramp(it=gate.ramp).model_dump_json() if gate.ramp else None,
        "watch_until": gate.watch_until,
        "finished_at": gate.finished_at,
        "notes": json.dumps(gate.notes) if gate.notes else None,
        "sequence": gate.sequence,
    }


def read_event(row: sa.RowMapping) -> GateEvent | None:
    """Return the event, or None if this release does not know its kind, or it is broken: the others are still shown."""
    try:
        return _event(row)
    except ValueError:
        return None


def _event(row: sa.RowMapping) -> GateEvent:
    return GateEvent(row["gate_id"], row["sequence"], row["at"], EventKind(row["kind"]), json.loads(row["body"]))


def event_columns(event: GateEvent) -> dict[str, Any]:
    return {
        "gate_id": event.gate_id,
        "sequence": event.sequence,
        "at": event.at,
        "kind": event.kind.value,
        "body": json.dumps(event.body, default=str),
    }


def read_order(row: sa.RowMapping, moment: datetime) -> ActionRun:
    """Read an order at a moment of the journal's clock. Raises UnreadableGate."""
    with reading(row["gate_id"]):
        return ActionRun(
            key=row["key"],
            gate_id=row["gate_id"],
            position=row["position"],
            action=row["action"],
            occasion=Occasion(row["occasion"]),
            weight=row["weight"],
            state=OrderState(row["state"]),
            created_at=row["created_at"],
            next_try_at=row["next_try_at"],
            tries=row["tries"],
            cut_off=row["cut_off"],
            detail=row["detail"],
            token=row["token"],
            finished_at=row["finished_at"],
            under_way=bool(row.get("under_way", False)),
            age=max(0.0, (moment - row["created_at"]).total_seconds()),
        )
