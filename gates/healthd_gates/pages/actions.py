"""The actions on a gate's page: the state of each, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healthd.web.pages.deploys import Sign
from healthd_gates.domain.action_order import ActionRun, OrderState

_ENDED: dict[OrderState, tuple[Sign, str]] = {
    OrderState.DONE: ("healthy", "done"),
    OrderState.SEEN: ("healthy", "done, and seen"),
    OrderState.GIVEN_UP: ("unhealthy", "given up"),
    OrderState.NO_BASELINE: ("unhealthy", "nothing to roll back to"),
}


@dataclass(frozen=True, slots=True)
class Errand:
    """One action. `again_at` is the time of its next attempt, None if it has not failed or has ended."""

    action: str
    occasion: str
    sign: Sign
    word: str
    tries: int
    detail: str
    again_at: datetime | None


def errands(orders: Sequence[ActionRun]) -> tuple[Errand, ...]:
    """Return the actions in order; each one waits for those before it."""
    told, before = [], ""
    for order in orders:
        sign, word = _standing(order, before)
        again = order.next_try_at if order.has_failed else None
        told.append(
            Errand(order.action, order.occasion.value, sign, word, order.tries + order.cut_off, order.detail, again)
        )
        if order.state is OrderState.DUE:
            before = before or order.action
    return tuple(told)


def _standing(order: ActionRun, before: str) -> tuple[Sign, str]:
    if order.state in _ENDED:
        return _ENDED[order.state]
    if before:
        return "unknown", f"waits for {before}"
    return ("degraded", "not done yet") if order.has_failed else ("running", "being tried")
