"""What every action is: a config model and a class that carries it out. When and how often is not its business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import ConfigDict

from healthd.config.settings import Model
from healthd.runtime.clock import Clock
from healthd.units import Duration
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Gate
from healthd_gates.sources.contract import Arms


class ActionConfig(Model):
    """What every kind of action can be told."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: str
    """Which kind it is."""
    timeout: Duration = 30.0
    """How long one try may take."""
    retry_for: Duration = 86400.0
    """For how long it is tried again, counted from the decision."""

    def check(self, arms: Arms) -> None:
        """Raises ArmError when it could never be carried out for these arms: a gate with no way back must not start."""

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        """What on this host keeps it from being carried out, such as a file that is not there. Asks nobody else."""
        return None


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """One action that is due for one gate. `key` is the same at every try, so that a receiver can tell a repetition.

    `quarantined` holds the versions of the service that failed a gate: none is to be brought back.
    """

    key: str
    action: str
    occasion: Occasion
    gate: Gate
    arms: Arms
    quarantined: frozenset[str] = frozenset()


class Ending(StrEnum):
    """How a try ended.

    `RETRY`: not yet; another try may bring it about. `REFUSED`: no further try would, and a person is needed.
    `NO_BASELINE`: there is nothing to roll back to.
    """

    DONE = "done"
    RETRY = "again"
    REFUSED = "refused"
    NO_BASELINE = "no_baseline"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What a try came to. `after` is the fewest seconds to the next one. `detail` is for people; whoever
    asked for the try redacts it, and cuts it where it is too long. `seen` says of one that is done that the action has
    read where the traffic goes, and did not only ask for it.
    """

    ending: Ending
    detail: str = ""
    after: float = 0.0
    seen: bool = False


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What the daemon hands to an action at birth."""

    name: str
    clock: Clock
    redact: Callable[[str], str]
    environ: Mapping[str, str]


class Unable(Exception):  # noqa: N818 - what a dry run has found
    """An action could not be carried out now. Its message says why, and what it was to do."""


class Action(Protocol):
    """One configured action.

    `execute` tries once and says what came of it; where it can read the present state it does so first, and what is
    already there is done. It may raise: that is a try that failed. It is cancelled at the action's timeout.
    `describe` says in one sentence what it would do, and changes nothing; it raises Unable where it sees that this
    could not be done. `close` ends its connections.
    """

    config_model: ClassVar[type[ActionConfig]]

    def __init__(self, config: Any, context: ActionContext) -> None: ...

    async def execute(self, order: ActionRequest) -> ActionResult: ...

    async def describe(self, order: ActionRequest) -> str: ...

    async def close(self) -> None: ...


@runtime_checkable
class Testable(Protocol):
    """An action that can ask the other side beforehand."""

    async def test(self) -> ActionResult:
        """Whether it could be carried out, by what and whom it would need. Changes nothing. It may raise, as a try."""
        ...
