"""A ramp in one sentence, for people: on the page, on the terminal, in notifications."""

from __future__ import annotations

from typing import Protocol

from healthd.units import show_duration

_NOT_DONE = " is not done yet: "


class _Ramp(Protocol):
    @property
    def weight(self) -> float: ...

    @property
    def share(self) -> float | None: ...

    @property
    def budget(self) -> float | None: ...

    @property
    def spent(self) -> float: ...

    @property
    def held(self) -> str: ...


def not_done(action: str, detail: str | None) -> str:
    """Return what holds a ramp whose action was tried and is not done."""
    return f"{action}{_NOT_DONE}{detail}"


def is_failing(held: str) -> bool:
    """Return whether what holds a ramp is an action that was tried and is not done."""
    return _NOT_DONE in held


def sentence(ramp: _Ramp) -> str:
    """Return the weight, the share that is seen, the budget spent, and what holds it."""
    seen = f", {percent(ramp.share)} of the requests seen" if ramp.share is not None else ""
    budget = f", {ramp.spent:,.0f} of {ramp.budget:,.0f} requests of the harm budget spent" if ramp.budget else ""
    return f"Weight {percent(ramp.weight)}{seen}{budget}{f'; {ramp.held}' if ramp.held else ''}."


def longest(decides: float, widens: float | None) -> str:
    """Return within how many seconds a gate decides, and its ramp, if there is one, gives all of the traffic."""
    verdict = f"a verdict within {_rounded(decides)}"
    return verdict if widens is None else f"all of the traffic within {_rounded(widens)}, {verdict}"


def _rounded(seconds: float) -> str:
    return show_duration(round(seconds) or 1)


def percent(share: float) -> str:
    """Return a weight or a share as people write it: two decimals at most."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"
