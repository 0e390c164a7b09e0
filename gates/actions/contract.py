"""What every action is: a config model and a class that carries it out. When and how often is the outbox's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from gates.gate import Gate
from healthd.clock import Clock
from healthd.settings import Model
from healthd.units import Duration


class ActionConfig(Model):
    """What every kind of action can be told."""

    kind: str
    timeout: Duration = 30.0
    """How long one try may take."""
    give_up: Duration = 86400.0
    """For how long it is tried again."""


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


@dataclass(frozen=True, slots=True)
class Order:
    """One action that is due for one gate. `key` is the same at every try, so that a receiver can tell a repetition."""

    key: str
    action: str
    occasion: Occasion
    gate: Gate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a try came to. `again` asks for another one. `detail` is for people and holds no secret."""

    done: bool
    detail: str = ""
    again: bool = True


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What the daemon hands to an action at birth."""

    name: str
    clock: Clock
    environ: Mapping[str, str]


class Action(Protocol):
    """One configured action.

    `carry_out` tries once and says what came of it; where it can read the present state it does so first, and what is
    already there is done. It may raise: that is a try that failed. It is given up at the action's timeout.
    """

    config_model: ClassVar[type[ActionConfig]]

    def __init__(self, config: Any, context: ActionContext) -> None: ...

    async def carry_out(self, order: Order) -> Outcome: ...

    async def close(self) -> None: ...
