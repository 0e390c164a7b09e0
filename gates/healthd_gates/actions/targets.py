"""Finds the places between which an action moves the traffic, where the configuration names them by target."""

from __future__ import annotations

from collections.abc import Mapping

from healthd_gates.sources.contract import ArmError, Arms


def places(named: Mapping[str, str], arms: Arms) -> tuple[str | None, str]:
    """Return the candidate's place, if it is known, and the baseline's. Raises ArmError.

    A baseline for which the request names no target is at the other one of two.
    """
    candidate = arms.candidate.target
    baseline = arms.baseline.target if arms.baseline else None
    if baseline is None and candidate in named and len(named) == 2:
        baseline = next(target for target in named if target != candidate)
    if baseline is None or baseline not in named:
        known = ", ".join(sorted(named))
        raise ArmError("baseline.target", f"is needed: where the traffic goes back to, one of {known}")
    if baseline == candidate:
        raise ArmError("baseline.target", "is the candidate's own: there is nowhere else to roll back to")
    return named.get(candidate or ""), named[baseline]
