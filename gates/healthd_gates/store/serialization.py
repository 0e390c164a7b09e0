"""Gates and their parts ↔ rows and JSON. Infinite bucket edges become the text `Infinity`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from healthd_gates.domain.evidence import Evidence, Standing
from healthd_gates.domain.gate import Decision, EventKind, Gate, GateEvent, GateState, Rollback
from healthd_gates.domain.request import VerifyRequest


class _Document(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")


class _Standing(_Document):
    it: Standing


class _Evidence(_Document):
    it: list[Evidence]


class _Decision(_Document):
    it: Decision


class _Rollback(_Document):
    it: Rollback


def standing_document(standing: Standing) -> dict[str, Any]:
    """What the judge said, as JSON."""
    document: dict[str, Any] = json.loads(_Standing(it=standing).model_dump_json())["it"]
    return document


def decision_document(decision: Decision) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_Decision(it=decision).model_dump_json())["it"]
    return document


def write_evidence(evidence: Sequence[Evidence]) -> str:
    return _Evidence(it=list(evidence)).model_dump_json()


def read_evidence(text: str) -> list[Evidence]:
    return _Evidence.model_validate_json(text).it


def read_gate(row: sa.RowMapping) -> Gate:
    """A row of `gates` as a value."""
    request = VerifyRequest.model_validate_json(row["request"])
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
        baseline_kept=request.baseline_kept,
        standing=_Standing.model_validate_json(row["standing"]).it if row["standing"] else None,
        decision=_Decision.model_validate_json(row["decision"]).it if row["decision"] else None,
        rollback=_Rollback.model_validate_json(row["rollback"]).it if row["rollback"] else None,
        watch_until=row["watch_until"],
        finished_at=row["finished_at"],
        notes=tuple(json.loads(row["notes"])) if row["notes"] else (),
        sequence=row["sequence"],
        holder=row["owner"],
    )


def changing_columns(gate: Gate) -> dict[str, Any]:
    """The columns of a gate that change in its life, but for whose it is."""
    return {
        "holds": gate.service if gate.state.holds_service else None,
        "state": gate.state.value,
        "decides_by": gate.decides_by,
        "standing": _Standing(it=gate.standing).model_dump_json() if gate.standing else None,
        "verdict": gate.decision.verdict.value if gate.decision else None,
        "decision": _Decision(it=gate.decision).model_dump_json() if gate.decision else None,
        "rollback": _Rollback(it=gate.rollback).model_dump_json() if gate.rollback else None,
        "watch_until": gate.watch_until,
        "finished_at": gate.finished_at,
        "notes": json.dumps(gate.notes) if gate.notes else None,
        "sequence": gate.sequence,
    }


def read_event(row: sa.RowMapping) -> GateEvent:
    return GateEvent(row["gate_id"], row["sequence"], row["at"], EventKind(row["kind"]), json.loads(row["body"]))


def event_columns(event: GateEvent) -> dict[str, Any]:
    return {
        "gate_id": event.gate_id,
        "sequence": event.sequence,
        "at": event.at,
        "kind": event.kind.value,
        "body": json.dumps(event.body, default=str),
    }
