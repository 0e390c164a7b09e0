"""What every dialect is, and what all of them share: what a hook asks about, and a gate in the few words that any
deploy tool understands. How a tool says it is the dialect's; which gate belongs to which of its runs is `runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gates.gate import Gate
from gates.hooks.correspondence import Correspondent
from gates.request import Deployment, LabelName, LabelValue, VerifyRequest, Version
from gates.web.operation import Operation
from healthd.clock import Clock
from healthd.settings import Model, Name

if TYPE_CHECKING:  # runs: it knows the whole configuration, of which a dialect's is a part
    from gates.hooks.runs import Runs

SCOPE = "gates:hooks"


class Deploys(Model):
    """What is asked of a gate about one thing that the tool deploys. The tool itself only says which version."""

    service: Name
    """The service, under `services`."""
    policy: Name | None = None
    """The policy; the service's own unless given."""
    target: Name | None = None
    """On which of the service's targets the new version runs, where there are several."""
    labels: dict[LabelName, LabelValue] = Field({}, max_length=16)
    """By which the source tells the new version's numbers from others'."""
    baseline: Version | None = None
    """The version beside it, for a policy that compares the two."""
    rollback: Literal["auto", "off"] = "off"
    """Whether healthd's own actions put the traffic back as well; the tool does so by itself."""

    def request(self, version: str, deployment: str, caller: str) -> VerifyRequest:
        """The request for a gate. Raises ValueError for a version that is none, or that is the baseline's."""
        return VerifyRequest(
            service=self.service,
            policy=self.policy,
            candidate=Version(version=version, target=self.target, labels=self.labels),
            baseline=self.baseline,
            deployment=Deployment(id=deployment, actor=caller),
            rollback=self.rollback,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One rollout of a tool's. `subject` is what it deploys, `id` which deploy of it, `by` whose token it brought."""

    hook: str
    subject: str
    id: str
    deploys: Deploys
    by: str

    @property
    def caller(self) -> str:
        """Whose its gates are. No token has such a name, so that nobody else can start a gate that is taken for one
        of the tool's."""
        return f"hook:{self.hook}"

    @property
    def deployment(self) -> str:
        return f"{self.subject} {self.id}"


def never(_gate: Gate) -> bool:
    return False


class HookConfig(Model):
    """What every kind of hook can be told."""

    kind: str
    """Which kind it is."""

    def deploys(self) -> Iterable[Deploys]:
        """Everything that it may ask about; the configuration checks that it exists."""
        return ()

    def correspondent(self, clock: Clock) -> Correspondent | None:
        """Who calls the tool back, where it hangs up before there is an answer."""
        return None

    def policies(self) -> Iterable[str]:
        """Policies that it names for a preflight."""
        return ()


class Word(StrEnum):
    """A gate in one word. What is inconclusive is already the pass or the fail that its policy takes it for."""

    RUNNING = "running"
    PASS = "pass"
    FAIL = "fail"
    CANCELLED = "cancelled"

    @classmethod
    def on(cls, gate: Gate) -> Word:
        if gate.rollback is not None:
            return cls.FAIL
        if gate.decision is not None:
            return cls.PASS if gate.may_stay else cls.FAIL
        return cls.CANCELLED if gate.state.is_over else cls.RUNNING


class Told(BaseModel):
    """What a deploy tool is told of a gate, short enough for its events and logs."""

    model_config = ConfigDict(frozen=True)

    verdict: Word | None
    sentence: str
    gate: str | None

    @classmethod
    def of(cls, gate: Gate | None) -> Self:
        if gate is None:
            return cls(verdict=None, sentence="There is no gate for this rollout yet.", gate=None)
        return cls(verdict=Word.on(gate), sentence=sentence_on(gate), gate=gate.id)


def sentence_on(gate: Gate) -> str:
    """Where a gate stands, in a sentence or two for people."""
    word = Word.on(gate)
    if gate.rollback is not None:
        return f"Rolled back: {gate.rollback.reason}"
    if gate.decision is not None:
        return gate.decision.sentence
    if word is Word.CANCELLED:
        return "The gate was cancelled before it had a verdict."
    return gate.standing.sentence if gate.standing is not None else "The gate has just begun."


def decided_for(gate: Gate, now: datetime) -> float:
    """For how many seconds it has had its verdict, or been cancelled; 0 while neither is so."""
    since = gate.decision.at if gate.decision is not None else gate.finished_at
    return 0.0 if since is None else (now - since).total_seconds()


ConfigT = TypeVar("ConfigT", bound=HookConfig)


class Dialect(Protocol):
    """One tool's way to ask. Its calls are served whether or not a hook of its kind is configured: what is not
    configured does not exist, and its callers get 404.
    """

    config_model: ClassVar[type[HookConfig]]

    def __init__(self, runs: Runs) -> None: ...

    def operations(self) -> Sequence[Operation]: ...
