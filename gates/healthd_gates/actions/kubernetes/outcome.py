"""Outcome of an attempt that the Kubernetes API refused: whether a retry may cure it."""

from __future__ import annotations

from healthd.kubernetes.failures import ApiRefusal
from healthd_gates.actions.contract import ActionResult, Ending

_LATER = frozenset({401, 408, 425, 429})


def outcome_of(refusal: ApiRefusal) -> ActionResult:
    """Return a retry if time, or a right that is granted, may cure it; refused if the same object would be refused
    again, since then a person is needed and should know at once."""
    if refusal.is_conflict:
        return ActionResult(Ending.RETRY, f"it was changed meanwhile ({refusal})", refusal.after)
    if (refusal.status == 403 and not refusal.is_denied) or refusal.status in _LATER or refusal.status >= 500:
        return ActionResult(Ending.RETRY, str(refusal), refusal.after)
    unknown = ": the cluster does not know this kind of object" if refusal.is_unknown_kind else ""
    return ActionResult(Ending.REFUSED, f"{refusal}{unknown}")
