"""An action that a gate called for, as it is stored until it is done. Storing it is not said here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Occasion(StrEnum):
    """What called for an action."""

    FAIL = "fail"
    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    REGRESSION = "regression"
    PERSON = "person"

    @property
    def is_rollback(self) -> bool:
        """Whether the traffic is to go back to the baseline."""
        return self is not Occasion.PASS


class OrderState(StrEnum):
    """How far an order has come. `SEEN` is done, and the action has read that the traffic is where it shall be;
    `NO_BASELINE` has ended because there is nothing to roll back to.
    """

    DUE = "due"
    DONE = "done"
    SEEN = "seen"
    GIVEN_UP = "given_up"
    NO_BASELINE = "no_baseline"


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action of one gate, as stored. `token` is that of the worker who claimed it last."""

    key: str
    gate_id: str
    position: int
    action: str
    occasion: Occasion
    state: OrderState
    created_at: datetime
    next_try_at: datetime
    tries: int
    detail: str
    token: int
    finished_at: datetime | None = None

    @property
    def purpose(self) -> str:
        """What it is for: the pass, or one round of a rollback."""
        return self.key.split(":")[1]
