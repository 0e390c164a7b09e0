"""An action that a gate called for, as it is stored until it is done. `store` stores it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Occasion(StrEnum):
    """The reason for an action. `RAMP`: the candidate's share of the traffic grows."""

    FAIL = "fail"
    PASS = "pass"
    RAMP = "ramp"
    INCONCLUSIVE = "inconclusive"
    REGRESSION = "regression"
    PERSON = "person"

    @property
    def is_rollback(self) -> bool:
        """True if the traffic has to go back to the baseline."""
        return self not in (Occasion.PASS, Occasion.RAMP)


class Ending(StrEnum):
    """Outcome of one attempt.

    `RETRY`: not done; another attempt may succeed. `REFUSED`: no further attempt would succeed, and a person is needed.
    `NO_BASELINE`: there is nothing to roll back to.
    """

    DONE = "done"
    RETRY = "again"
    REFUSED = "refused"
    NO_BASELINE = "no_baseline"


class OrderState(StrEnum):
    """State of an order. `SEEN` is done, and the action has verified that the traffic is at the baseline; `NO_BASELINE`
    has ended because there is nothing to roll back to.
    """

    DUE = "due"
    DONE = "done"
    SEEN = "seen"
    GIVEN_UP = "given_up"
    NO_BASELINE = "no_baseline"


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action of one gate, as stored. `token` is that of the worker that claimed it last; `weight` is the share of
    the traffic that it is to give to the candidate, None for an action that sets none. `tries` are attempts that came
    to an end, `cut_off` those since then that did not, because the worker was killed. `under_way` is true while a
    worker has it: also one that was given up may have its effect until then. `age` is how many seconds old it was when
    it was read, by the journal's clock, which also said when it was created: that of this host may go otherwise."""

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
    weight: float | None = None
    under_way: bool = False
    cut_off: int = 0
    age: float = 0.0

    @property
    def has_failed(self) -> bool:
        """True if an attempt was made, and the action is not done."""
        return self.state is OrderState.DUE and self.tries + self.cut_off > 0

    @property
    def purpose(self) -> str:
        """Purpose of the action: the pass, a step of a ramp, or one round of a rollback."""
        return self.key.split(":")[1]


@dataclass(frozen=True, slots=True)
class Departed:
    """Traffic that goes otherwise than a done order says: what is seen, for people. `is_forgotten` is True where the
    other side has begun anew since, without it; False where somebody may have meant it."""

    what: str
    is_forgotten: bool
