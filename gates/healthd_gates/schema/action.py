"""The API's documents about actions, called for or rehearsed. The client reads the same models."""

from __future__ import annotations

from typing import Self

from healthd_gates.domain.action_order import ActionRun, Ending, Occasion, OrderState
from healthd_gates.schema.document import Moment, Shown


class ActionDocument(Shown):
    """One action that was called for: the number of attempts that came to an end, the result of the latest, and the
    time of the next. `cut_off` counts the attempts since the latest that a kill of the daemon cut off.
    `weight` is the share of the traffic that it gives to the candidate, null if it sets none. `under_way`: an attempt
    is being made, which may still have its effect after the action was given up."""

    key: str
    action: str
    occasion: Occasion
    state: OrderState
    tries: int
    detail: str
    called_for_at: Moment
    next_try_at: Moment | None
    finished_at: Moment | None
    weight: float | None = None
    under_way: bool = False
    cut_off: int = 0

    @classmethod
    def of(cls, order: ActionRun) -> Self:
        return cls(
            key=order.key,
            action=order.action,
            occasion=order.occasion,
            state=order.state,
            tries=order.tries,
            detail=order.detail,
            called_for_at=order.created_at,
            next_try_at=order.next_try_at if order.state is OrderState.DUE else None,
            finished_at=order.finished_at,
            weight=order.weight,
            under_way=order.under_way,
            cut_off=order.cut_off,
        )


class ActionsDocument(Shown):
    """The actions that a gate's verdict called for, in order."""

    actions: list[ActionDocument]


class ActionTestDocument(Shown):
    """Result of a test of an action. `ok`: it was done, or nothing is known to prevent it. `ending` is that of an
    attempt, null if there was none."""

    action: str
    kind: str
    ok: bool
    ending: Ending | None
    detail: str


class RehearsedDocument(Shown):
    """One action of a rollback, and what it would do now."""

    action: str
    kind: str | None
    would: str


class RehearsalDocument(Shown):
    """A dry run of a rollback: its actions in their order. Nothing was changed."""

    actions: list[RehearsedDocument]
