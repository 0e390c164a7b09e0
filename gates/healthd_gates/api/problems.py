"""The gate service's refusals as problem documents: the status of each, who blocks the call and until when."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from healthd.units import stamp
from healthd.web.problems import Problem
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.errors import Refusal

_STATUSES: dict[type[Refusal], int] = {
    refusals.UnknownService: 404,
    refusals.UnknownPolicy: 404,
    refusals.UnknownGate: 404,
    refusals.UnknownAction: 404,
    refusals.NotQuarantined: 404,
    refusals.InvalidRequest: 422,
    refusals.IdempotencyMismatch: 422,
    refusals.StaleVerdict: 422,
    refusals.ServiceBusy: 409,
    refusals.Locked: 409,
    refusals.Frozen: 409,
    refusals.Quarantined: 409,
    refusals.AlreadyDecided: 409,
    refusals.NotHeld: 409,
    refusals.AmbiguousGate: 409,
    refusals.NotRollingBack: 409,
    refusals.NotRamping: 409,
    refusals.NothingToRollBack: 409,
    refusals.NotPushed: 409,
    refusals.LockNotHeld: 409,
}
_UNAVAILABLE = 503  # every other refusal is about the daemon, not about the call
_FIELDS: dict[type[Refusal], str] = {
    refusals.UnknownService: "service",
    refusals.UnknownPolicy: "policy",
    refusals.IdempotencyMismatch: "idempotency_key",
    refusals.StaleVerdict: "idempotency_key",
}
_SOON, _IN_TURN = "1", "15"  # seconds


def problem_of(refusal: Refusal, *, reads: bool = False) -> Problem:
    """Return the answer to a refused call, which `reads` or changes something. Its type names the refusal, its other
    members are the refusal's fields."""
    kind = type(refusal)
    status = _STATUSES.get(kind, _UNAVAILABLE)
    detail = refusal.of_a_read if reads else str(refusal)
    told: dict[str, Any] = {name: _told(value) for name, value in refusal.fields.items()}
    field = refusal.fields.get("field") if kind is refusals.InvalidRequest else _FIELDS.get(kind)
    if field is not None:
        told["errors"] = [{"field": field, "problem": refusal.fields.get("problem", detail)}]
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).capitalize()
    told["type"] = "urn:healthd:" + words.lower().replace(" ", "-")
    headers = None
    if isinstance(refusal, refusals.RETRYABLE):
        headers = {"Retry-After": _SOON if status == _UNAVAILABLE else _IN_TURN}
    return Problem(status, words, detail, headers, **told)


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return value if isinstance(value, int | float | str) else str(value)
