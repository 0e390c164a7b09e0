"""The contract of every criterion: one frozen model, which a policy configures and the judge evaluates.

There are two sorts. A `TrafficCriterion` reads the counts of the service's source. An `ObservedCriterion` is answered
yes or no at every evaluation, by itself. The verdict is the judge's business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from healthd.config.model import Model, Name
from healthd.config.sections import Group
from healthd.monitoring.board import Board
from healthd.units import Span
from healthd_gates.domain.evidence import Histogram, Observation
from healthd_gates.judge.rules import Against
from healthd_gates.sources.contract import Arms, Series

if TYPE_CHECKING:
    import aiohttp

    from healthd_gates.judge.arms import Reading
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


@dataclass(frozen=True, slots=True)
class Configured:
    """The names that a criterion may use; None if that section of the file is in error itself."""

    checks: Collection[str] | None = None
    groups: Collection[str] | None = None


def stream_of(source: str) -> str:
    """Return the stream that has the counts of a further source. No criterion's own can have its name."""
    return f"@{source}"


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound that a baseline must keep to count as recovered after a rollback: the `highest` share of bad requests.
    `says` describes a bad request."""

    says: str
    reading: Reading
    highest: float


class CriterionConfig(Model):
    """The options of all criteria. A criterion that is not critical only warns."""

    config_model: ClassVar[type[CriterionConfig]]
    """The class itself."""
    reads_traffic: ClassVar[bool] = False
    """True if it reads the numbers of the service's source."""
    reads_latency: ClassVar[bool] = False
    """True if it needs a source that measures latency."""
    reads_sums: ClassVar[bool] = False
    """True if it needs a source whose latencies come with their sum."""
    sends_requests: ClassVar[bool] = False
    """True if it sends requests to the candidate, whose target then needs addresses."""

    kind: str
    """The kind of criterion."""
    own_name: Name | None = Field(None, alias="name")
    """Name of the criterion; the kind unless given. Needed where two criteria are of one kind."""
    critical: bool = True
    """True if it takes part in the verdict; otherwise it only warns."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.config_model = cls

    @property
    def name(self) -> str:
        """Its name in reports: names are unique in a policy."""
        return self.own_name or self.kind

    @property
    def compares_with(self) -> Against | None:
        """The baseline that it needs."""
        return None

    @property
    def series(self) -> Series | None:
        """The series of its own that it reads from its source; None for the source's own counts."""
        return None

    @property
    def named_source(self) -> str | None:
        """The further source of the service that it reads; None for the first one, or none at all."""
        return None

    @property
    def stream(self) -> str | None:
        """The stream of the evidence that it reads; None for the counts of the service's first source."""
        return None

    @property
    def split_by(self) -> str | None:
        """The label by which it needs the requests of its source split."""
        return None

    @property
    def latency_limits(self) -> tuple[float, ...]:
        """Latencies in seconds at which a source that chooses its buckets puts an edge."""
        return ()

    def hidden_by(self, edges: Sequence[float]) -> str | None:
        """Return what latencies counted at these edges, in seconds, would hide of a comparison that it asks for; None
        if nothing."""
        return None

    def limit_between(self, edges: Sequence[float]) -> tuple[float, float] | None:
        """Return the bucket edges, in seconds, between which its limit of latency lies, with 0 and inf where there is
        none; None if the limit is one of them, or there is no limit."""
        return None

    def undecided_by(self, latency: Histogram) -> bool:
        """Return whether latencies such as these decide nothing against its limit, however many there are, as both lie
        in one bucket."""
        return False

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The bounds that the baseline must keep after a rollback."""
        return ()

    @property
    def has_secrets(self) -> bool:
        """True if it cannot be evaluated from the journal's copy, which has no secrets."""
        return False

    def check(self, configured: Configured) -> None:
        """Check the names that it uses. Raises ValueError if one is not configured."""

    def unanswerable(self, groups: Mapping[str, Group]) -> str | None:
        """Return the reason why a gate could not be judged by it now, with the cure; None if it could. `groups` are
        those in force, with the checks that run."""
        return None

    @abstractmethod
    def build(self, frame: Frame, past: Past) -> Criterion:
        """Build the criterion for one gate's judge: pure, and the same for the same evidence."""


class TrafficCriterion(CriterionConfig):
    """A criterion of the counts in the evidence, which also holds while a gate watches after a pass."""

    reads_traffic: ClassVar[bool] = True

    source: Name | None = None
    """The source of its numbers, one of the service's `sources`; its first one unless given."""

    @property
    def named_source(self) -> str | None:
        return self.source

    @property
    def stream(self) -> str | None:
        if self.series is not None:
            return self.name
        return None if self.source is None else stream_of(self.source)


@dataclass(frozen=True, slots=True)
class CriterionContext:
    """The dependencies that a criterion may use to observe.

    `session` sends requests, `board` has the daemon's own checks, `arms` has the versions that are compared; the
    addresses of the candidate are `arms.candidate.urls`. `without_secrets` is True if the criterion comes from the
    journal.
    """

    arms: Arms
    board: Board
    session: aiohttp.ClientSession
    without_secrets: bool = False


class ObservedCriterion(CriterionConfig):
    """A criterion that is answered yes or no at every evaluation, and fails after several noes in a row."""

    failures: int = Field(2, ge=1)
    """Number of failures in a row that decide."""
    startup: Span = 0.0
    """Time from the gate's start in which it may fail before its first success: the candidate may still be starting."""

    @property
    def longest(self) -> float:
        """Timeout of an answer in seconds. After it the gate continues without one."""
        return 5.0

    @abstractmethod
    async def observe(self, context: CriterionContext) -> Observation:
        """Answer once: `self.yes(…)`, `self.no(…)` or, if the answer is not known, `self.unknown(…)`. It may raise, and
        be cancelled; both count as unknown, which fails no candidate and passes none."""

    def yes(self, detail: str = "") -> Observation:
        """Answer that the criterion holds; `detail` is shown to people."""
        return Observation(self.name, True, detail)

    def no(self, detail: str) -> Observation:
        """Answer that the criterion does not hold, and that the candidate is at fault."""
        return Observation(self.name, False, detail)

    def unknown(self, detail: str) -> Observation:
        """Answer that the result is not known, which is not the candidate's fault."""
        return Observation(self.name, None, detail)

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge.plain import Observed

        return Observed(self)
