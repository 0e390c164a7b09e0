"""Shares of the traffic that two targets have: which of them is live, and what may not be released to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from healthd_deploy.core.exit import StepFailed

BeforeRamp = Callable[[], Awaitable[str | None]]
"""Returns the target that had all of the traffic before a ramp divided it, None where no ramp did."""


async def no_ramp() -> str | None:
    """Return None: no ramp has divided the traffic."""
    return None


async def whole_or_before(place: str, shares: Mapping[str, float], before_ramp: BeforeRamp) -> str:
    """Return the target with all of the traffic; where a ramp divides it, the one that had all of it before. Raises
    StepFailed where neither is known."""
    whole = [target for target in shares if not any(shares[other] for other in shares if other != target)]
    if len(whole) == 1:
        return whole[0]
    before = await before_ramp()
    if before is not None and before in shares:
        return before
    said = ", ".join(f"{100 * share:.4g} % to {target}" for target, share in shares.items())
    raise StepFailed(
        f"{place} sends {said}, and no gate of healthd says which of them had all of the traffic before: give it to "
        "one of them first"
    )


def has_traffic(target: str, share: float, hint: str = "") -> str:
    """Return why nothing may be released to a target with a share of the traffic, and how to take it back."""
    hint = hint or "`healthd gate rollback GATE` takes it back, with the gate that `healthd gate list` shows"
    return f"{target} has {100 * share:.4g} % of the traffic: nothing may be released to it ({hint})"
