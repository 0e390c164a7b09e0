"""What every criterion is: one frozen model, which a policy configures and the judge puts to work.

There are two sorts. A `TrafficCriterion` reads the counts that the service's source brings. An `ObservedCriterion` is
answered yes or no at every look, by itself. What a verdict follows from is the judge's business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import aiohttp
from pydantic import Field

from healthd.config.settings import Model, Name
from healthd.monitoring.board import Board
from healthd.units import Span
from healthd_gates.domain.evidence import Observation
from healthd_gates.judge.arms import Reading
from healthd_gates.judge.criterion import Criterion, Frame
from healthd_gates.judge.past import Past
from healthd_gates.judge.plain import Observed
from healthd_gates.judge.rules import Against
from healthd_gates.sources.contract import Arms


@dataclass(frozen=True, slots=True)
class Configured:
    """The names that a criterion may use; None where that section of the file is in error itself."""

    checks: Collection[str] | None = None
    groups: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What a baseline must keep to be called recovered after a rollback: the `highest` share of bad requests. `says` is
    what makes one bad."""

    says: str
    reading: Reading
    highest: float


class CriterionConfig(Model):
    """What all criteria can be told. One that is not critical only warns."""

    config_model: ClassVar[type[CriterionConfig]]
    """Itself."""
    reads_traffic: ClassVar[bool] = False
    """Whether it goes by the numbers of the service's source."""
    reads_latency: ClassVar[bool] = False
    """Whether it needs a source that measures latency."""
    sends_requests: ClassVar[bool] = False
    """Whether it asks the candidate itself, whose target then needs addresses."""

    kind: str
    """Which kind it is."""
    own_name: Name | None = Field(None, alias="name")
    """The kind, unless given; needed where two criteria are of one kind."""
    critical: bool = True
    """Whether it takes part in the verdict, or only warns."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.config_model = cls

    @property
    def name(self) -> str:
        """What it is called in reports: names are unique in a policy."""
        return self.own_name or self.kind

    @property
    def compares_with(self) -> Against | None:
        """The baseline that it needs."""
        return None

    @property
    def latency_limits(self) -> tuple[float, ...]:
        """Latencies in seconds at which a source that chooses its buckets puts an edge."""
        return ()

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What the baseline must keep after a rollback."""
        return ()

    @property
    def has_secrets(self) -> bool:
        """Whether it cannot do as the journal keeps it, which keeps no secrets."""
        return False

    def check(self, configured: Configured) -> None:
        """Raises ValueError when it names what is not configured."""

    @abstractmethod
    def build(self, frame: Frame, past: Past) -> Criterion:
        """The criterion at work in one gate's judge: pure, and the same for the same evidence."""


class TrafficCriterion(CriterionConfig):
    """A criterion of the counts in the evidence, which also holds while a gate watches after a pass."""

    reads_traffic: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class CriterionContext:
    """What a criterion may use to observe.

    `session` sends requests, `board` has the daemon's own checks, `arms` says who is judged; the addresses of the
    candidate are `arms.candidate.urls`. `without_secrets` says that the criterion is as the journal kept it.
    """

    arms: Arms
    board: Board
    session: aiohttp.ClientSession
    without_secrets: bool = False


class ObservedCriterion(CriterionConfig):
    """A criterion that is answered yes or no at every look, and fails after some noes in a row."""

    failures: int = Field(2, ge=1)
    """How many times in a row it must fail to decide."""
    startup: Span = 0.0
    """For how long from the gate's start it may fail before its first success: the candidate may still be starting."""

    @property
    def longest(self) -> float:
        """Seconds that an answer may take. After it the gate does without one."""
        return 5.0

    @abstractmethod
    async def observe(self, context: CriterionContext) -> Observation:
        """Answer once: `self.yes(…)`, `self.no(…)` or, where nobody can tell, `self.unknown(…)`. It may raise, and be
        cancelled; both count as unknown, which fails no candidate and passes none."""

    def yes(self, detail: str = "") -> Observation:
        """It holds; `detail` is shown to people."""
        return Observation(self.name, True, detail)

    def no(self, detail: str) -> Observation:
        """It does not hold, and the candidate is at fault."""
        return Observation(self.name, False, detail)

    def unknown(self, detail: str) -> Observation:
        """Nobody can tell, which is not the candidate's fault."""
        return Observation(self.name, None, detail)

    def build(self, frame: Frame, past: Past) -> Criterion:
        return Observed(self)
