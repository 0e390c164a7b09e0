"""The contract of every action: a config model and a class that carries it out. Scheduling and retries are not its
business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pydantic import ConfigDict

from healthd.config.model import Model
from healthd.runtime.clock import Clock
from healthd.units import Duration
from healthd_gates.domain.action_order import Departed as Departed
from healthd_gates.domain.action_order import Ending as Ending
from healthd_gates.domain.action_order import Occasion
from healthd_gates.sources.contract import Arms

if TYPE_CHECKING:
    from healthd_gates.domain.gate import Gate


class ActionConfig(Model):
    """The options of every kind of action."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: str
    """The kind of action."""
    timeout: Duration = 30.0
    """The timeout of one attempt."""
    retry_for: Duration = 86400.0
    """Time for which the action is retried, counted from the decision."""

    @property
    def sets_weight(self) -> bool:
        """True if it can give the candidate a part of the traffic, as a ramp needs."""
        return False

    @property
    def named_targets(self) -> Collection[str]:
        """The targets of a service that it names in its options."""
        return ()

    def check(self, arms: Arms) -> None:
        """Check the action for these arms. Raises ArmError if it could never be carried out for them: a gate with no
        way to roll back must not start."""

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        """Return the reason why this host cannot carry out the action, such as a missing file. Makes no request."""
        return None


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """One action that is due for one gate. `key` is the idempotency key: the same at every attempt, so that a receiver
    recognises a repetition.

    `quarantined` holds the versions of the service that failed a gate: none of them may be brought back. `weight` is
    the share of the traffic, from 0 to 1, that a ramp gives to the candidate; None outside of one.
    """

    key: str
    action: str
    occasion: Occasion
    gate: Gate
    arms: Arms
    quarantined: frozenset[str] = frozenset()
    weight: float | None = None

    @property
    def share(self) -> float:
        """The candidate's share of the traffic once the action is done: all or nothing outside of a ramp."""
        if self.weight is not None:
            return self.weight
        return 0.0 if self.occasion.is_rollback else 1.0


@dataclass(frozen=True, slots=True)
class ActionResult:
    """Result of one attempt. `after` is the least number of seconds before the next one. `detail` is for people; the
    caller of the attempt redacts it, and cuts it if it is too long. `seen` is True if the action is done and has read
    where the traffic goes, rather than only asked for the change.
    """

    ending: Ending
    detail: str = ""
    after: float = 0.0
    seen: bool = False


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The dependencies that the daemon gives to an action when it is created."""

    name: str
    clock: Clock
    redact: Callable[[str], str]
    environ: Mapping[str, str]


class Unable(Exception):  # noqa: N818 - what a dry run has found
    """An action could not be carried out now. Its message says why, and what it was to do."""


class Action(Protocol):
    """One configured action.

    `execute` makes one attempt and returns its result; if it can read the present state it does so first, and what is
    right already counts as done. It may raise: the attempt then failed. It is cancelled at the action's timeout.
    `describe` returns one sentence about what it would do, and changes nothing; it raises Unable if it sees that this
    could not be done. `close` ends its connections.
    """

    config_model: ClassVar[type[ActionConfig]]

    def __init__(self, config: Any, context: ActionContext) -> None: ...

    async def execute(self, order: ActionRequest) -> ActionResult: ...

    async def describe(self, order: ActionRequest) -> str: ...

    async def close(self) -> None: ...


@runtime_checkable
class Testable(Protocol):
    """An action that can check beforehand with the other side."""

    async def test(self) -> ActionResult:
        """Check that the action could be carried out, with everything that it would need. Changes nothing. It may
        raise, as an attempt."""
        ...


@runtime_checkable
class SeesHindrance(Protocol):
    """An action that can see beforehand what only a person takes out of its way."""

    async def hindrance(self, order: ActionRequest) -> str | None:
        """Return what would stop this order, such as a missing right, for people; None where nothing is seen. Changes
        nothing. It may raise where that cannot be seen."""
        ...


@runtime_checkable
class LooksAgain(Protocol):
    """An action whose effect may be lost without anybody's word, and that can see this."""

    async def departed(self, order: ActionRequest, ago: float, right: MutableMapping[str, float]) -> Departed | None:
        """Return how the traffic goes otherwise than an order that was given so many seconds `ago`, and is done; None
        where it goes so. `right` has the steady time at which each place was last seen to be right, and is given back
        to the next look: what has begun anew before that has forgotten nothing. Changes nothing. It may raise where
        that cannot be seen."""
        ...
