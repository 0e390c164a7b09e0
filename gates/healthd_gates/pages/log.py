"""A gate's log in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthd_gates.domain.gate import EventKind, GateEvent
from healthd_gates.domain.ramp_wording import percent
from healthd_gates.pages.gate_history import GateHistory

_SECONDS_OF_A_TIME = re.compile(r"^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(\.\d+)?(\+00:00|Z)$")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    at: datetime
    text: str


def log(film: GateHistory) -> tuple[Line, ...]:
    """Return the events, newest first."""
    return tuple(Line(event.at, _told(event)) for event in reversed(film.log))


def _told(event: GateEvent) -> str:
    body = event.body
    match event.kind:
        case EventKind.STARTED:
            about = f"{body.get('service')} {body.get('candidate')}"
            why = f"; {body['why']}" if body.get("why") else ""
            return f"{body.get('caller')} asks about {about}, policy {body.get('policy')}{why}"
        case EventKind.STATE:
            return f"{body.get('state')}{_rest(body, 'state')}"
        case EventKind.DECISION:
            by = f" by {body['by']}" if body.get("by") else ""
            return f"verdict {body.get('verdict')}{by}: {body.get('sentence')}"
        case EventKind.ROLLBACK:
            return (
                f"rollback {str(body.get('state')).removeprefix('rollback_').replace('_', ' ')}{_rest(body, 'state')}"
            )
        case EventKind.ACTION:
            return _tried(body)
        case EventKind.RAMP:
            return _ramped(body)
    return f"{event.kind.value}{_rest(body)}"


def _ramped(body: Mapping[str, Any]) -> str:
    """Return a change of weight, a pause or the end of one, in words."""
    mark = body.get("before")
    if "pause" in body:
        by = f"by {body['by']}: {body.get('why')}" if mark is None else f"for a person before {percent(mark)}"
        return f"paused at {percent(body['weight'])} {by}"
    if "resume" in body:
        beyond = "" if mark is None else f", to {percent(mark)} and beyond"
        return f"{body['by']} lets it go on from {percent(body['weight'])}{beyond}: {body.get('why')}"
    if body["from"] == body["weight"]:
        return f"{percent(body['weight'])} ordered once more: {body.get('why')}"
    return f"widened from {percent(body['from'])} to {percent(body['weight'])}: {body.get('why')}"


def _tried(body: Mapping[str, Any]) -> str:
    """Return one attempt of an action, in words."""
    state = "not done" if body.get("state") == "due" else str(body.get("state")).replace("_", " ")
    told = f"{body.get('action')}, try {body.get('try')}, {state}: {body.get('detail')}"
    again = body.get("next_try_at")
    return f"{told}; next try at {_flat(again)}" if again else told


def _rest(body: Mapping[str, Any], *told: str) -> str:
    """Return the other fields of an event, unchanged."""
    words = [
        f"{key.replace('_', ' ')} {_flat(value)}"
        for key, value in body.items()
        if key not in told and value is not None
    ]
    return f" ({'; '.join(words)})" if words else ""


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _SECONDS_OF_A_TIME.sub(r"\1 UTC", str(value))
