"""A gate's log as spans: what a deploy waited for, and what came after. Pure.

The first span of a gate ends when the gate holds its service no longer: with a pass, or once the rollback of a fail is
over. What follows, a watch or a later rollback, is a child of it each. Ids come from the gate's own, so that replicas
that tell the same span tell one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from healthd.otlp.span import Attributes, Span, SpanEvent, parse_traceparent
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState
from healthd_gates.domain.standing import Verdict

_ENDS = {state.value for state in GateState if not state.holds_service}
_WATCHING = GateState.WATCHING.value
_MOST_EVENTS = 128  # of a span; the first and the last are kept
_NOT_BACK = ("rollback_failed", "rollback_impossible", "rollback_unconfirmed", "left_to_the_caller")


def is_told(before: Gate, after: Gate) -> bool:
    """True if a span of the gate has ended with this step."""
    return after.state is not before.state and not after.state.holds_service


def last_span(gate: Gate, log: Sequence[GateEvent]) -> Span | None:
    """Return the span that has ended last. None where the log has none, or the caller keeps no trace."""
    parent = parse_traceparent(gate.deployment.traceparent or "")
    parts = list(_parts(log))
    if not parts or (parent is not None and not parent.sampled):
        return None
    number, events = len(parts) - 1, parts[-1]
    first = number == 0
    trace = parent.trace_id if parent is not None else _id(gate, "trace", 32)
    above = (parent.span_id if parent is not None else None) if first else _id(gate, "0", 16)
    after_pass = not first and parts[-2][-1].body.get("state") == _WATCHING
    name = "gate" if first else "gate watch" if after_pass else "gate rollback"
    began = gate.created_at if first else parts[-2][-1].at
    return Span(
        trace_id=trace,
        span_id=_id(gate, str(number), 16),
        parent_id=above,
        name=f"{name} {gate.service}",
        began=began,
        ended=events[-1].at,
        attributes=_attributes(gate, failed=_failed(events)),
        events=tuple(_span_events(events)),
        failed=_failed(events),
    )


def _parts(log: Sequence[GateEvent]) -> Iterator[list[GateEvent]]:
    """Yield the log of each span that has ended, with the event that ended it."""
    part: list[GateEvent] = []
    for event in log:
        part.append(event)
        if event.kind is EventKind.STATE and event.body.get("state") in _ENDS:
            yield part
            part = []


def _failed(events: Sequence[GateEvent]) -> str | None:
    """Return why a deploy may not stay, or a rollback is not done."""
    why = None
    for event in events:
        if event.kind is EventKind.DECISION:
            why = event.body.get("sentence") if event.body.get("counts_as") == Verdict.FAIL.value else None
        elif event.kind is EventKind.ROLLBACK and (why is None or event.body.get("state") in _NOT_BACK):
            why = event.body.get("detail") or event.body.get("reason") or str(event.body.get("state"))
    return why


def _attributes(gate: Gate, *, failed: str | None) -> Attributes:
    """Attributes by the semantic conventions of OpenTelemetry (deployment, cicd), and healthd's own."""
    decision, rollback, run = gate.decision, gate.rollback, gate.deployment
    return {
        "deployment.name": f"{gate.service} {gate.candidate.version}",
        "deployment.id": run.id,
        "deployment.status": ("failed" if failed is not None else "succeeded") if decision is not None else None,
        "cicd.pipeline.run.url.full": run.url,
        "healthd.gate.id": gate.id,
        "healthd.gate.service": gate.service,
        "healthd.gate.policy": gate.policy,
        "healthd.gate.caller": gate.caller,
        "healthd.gate.candidate.version": gate.candidate.version,
        "healthd.gate.baseline.version": gate.baseline.version if gate.baseline is not None else None,
        "healthd.gate.state": gate.state.value,
        "healthd.gate.verdict": decision.verdict.value if decision is not None else None,
        "healthd.gate.counts_as": decision.counts_as.value if decision is not None else None,
        "healthd.gate.reason": decision.reason if decision is not None else None,
        "healthd.gate.rollback": rollback.state.value if rollback is not None else None,
    }


def _span_events(log: Sequence[GateEvent]) -> list[SpanEvent]:
    events: list[SpanEvent] = []
    before: object = None
    for event in log:
        if event.kind is EventKind.LOOK:
            seen = _seen(event.body)
            if seen == before:
                continue
            before = seen
        events.append(SpanEvent(event.kind.value, event.at, _told(event)))
    if len(events) <= _MOST_EVENTS:
        return events
    return events[: _MOST_EVENTS // 2] + events[-_MOST_EVENTS // 2 :]


def _seen(look: Mapping[str, Any]) -> object:
    """Return what makes a look differ from the one before it: numbers alone do not."""
    standing = look.get("standing") or {}
    findings = [(each.get("name"), each.get("finding")) for each in standing.get("criteria", ())]
    return standing.get("verdict"), standing.get("reason"), findings


def _told(event: GateEvent) -> Attributes:
    if event.kind is not EventKind.LOOK:
        return {f"healthd.{event.kind.value}.{key}": _plain(value) for key, value in event.body.items()}
    standing = event.body.get("standing") or {}
    criteria = {
        f"healthd.look.finding.{each.get('name')}": _plain(each.get("finding")) for each in standing.get("criteria", ())
    }
    told = {key: _plain(standing.get(key)) for key in ("reason", "sentence", "log_e_harm", "log_e_needed")}
    return {f"healthd.look.{key}": value for key, value in told.items()} | criteria


def _plain(value: Any) -> str | bool | int | float | None:
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _id(gate: Gate, what: str, digits: int) -> str:
    if what == "trace" and len(gate.id) == digits and int(gate.id, 16):
        return gate.id  # the trace of a gate without a caller's is found by it
    return sha256(f"{gate.id}/{what}".encode()).hexdigest()[:digits]
