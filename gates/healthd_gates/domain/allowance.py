"""The allowance of a release whose weight its caller sets: as wide as the evidence allows within a harm budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from healthd_gates.domain.ramp_wording import percent


class _Allowance(Protocol):
    @property
    def allowed_weight(self) -> float: ...

    @property
    def share(self) -> float | None: ...

    @property
    def budget(self) -> float: ...

    @property
    def spent(self) -> float: ...

    @property
    def exceeded(self) -> bool: ...

    @property
    def held(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """Weight that a caller may set after a look.

    `allowed_weight` and `share` are fractions of the traffic: the most that the evidence allows, and what the candidate
    was seen to get in the newest reports, None before any. `budget` and `spent` are requests, `excess` is the bound on
    the candidate's excess of bad ones, `traffic` is in requests a second, `reaction` in seconds. `exceeded` is true if
    the share is wider than the evidence allows, by more than chance. `held` says why no wider one is allowed.
    """

    allowed_weight: float
    share: float | None
    budget: float
    spent: float
    excess: float
    traffic: float
    reaction: float
    exceeded: bool = False
    held: str = ""


def sentence(it: _Allowance) -> str:
    """Return how wide it may be and is, for people."""
    has = "" if it.share is None else f", and it has {percent(it.share)}"
    wider = ", which is wider than its harm budget bears" if it.exceeded else ""
    spent = f"{it.spent:,.0f} of {it.budget:,.0f} requests of the harm budget are spent"
    held = f"; no more for now, since {it.held}" if it.held else ""
    return f"The evidence allows it {percent(it.allowed_weight)} of the traffic{has}{wider}; {spent}{held}."
