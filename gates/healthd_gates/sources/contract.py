"""The contract of every source of traffic numbers: a config model and a class with `observe` and `close`. The kinds are
in the other files here; the judge interprets the numbers.

Three cases look alike and are kept apart everywhere. No telemetry: it is not known what happened; an arm is None, or
SourceUnavailable is raised. No traffic: it is known that nothing happened; requests are 0. Zero errors: there were
requests, and none of them failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from healthd.config.model import Model
from healthd.model import FailureKind
from healthd.runtime.clock import Clock
from healthd.units import Duration
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.request import PushedEvidence

if TYPE_CHECKING:
    from healthd_gates.sources.otlp.receiver import Receiver

Cursor = Mapping[str, Any]
"""Position of a source: JSON, written and read by the source alone. Stored with its evidence, it lets a gate that was
killed resume with exact counts."""

# Narrower than what a selector could carry, since a label that needs more is more often an attack than a version.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+~-]{0,127}")


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one criterion, which it names in the language of its source.

    The source puts their numbers into `Evidence.streams` under `stream`. `shape` says as what: `counts` (Counts of
    `of`, and of `bad` or `good` as its errors), `events` (Events of `events`, and of `requests` if it names them; `up`
    shows that nothing happened) or `values` (Values of `value`). `parts` has the text of each. `by_instance` is true if
    the number of instances is needed too.
    """

    stream: str
    shape: Literal["counts", "events", "values"]
    parts: Mapping[str, str]
    by_instance: bool = False


class SourceConfig(Model):
    """The options of every kind of source."""

    kind: str
    timeout: Duration = 5.0
    """Timeout of one evaluation."""

    @property
    def lateness(self) -> float:
        """Seconds for which a working source may have nothing new. After that there is no telemetry."""
        return 60.0

    @property
    def is_apart(self) -> bool:
        """True if nothing of the service answers for it: where it gives no answer, that says nothing of the
        candidate."""
        return True

    @property
    def sees_traffic(self) -> bool:
        """True if it counts the requests of users, so that it can tell which of two versions has their traffic."""
        return True

    @property
    def counts_requests(self) -> bool:
        """True if it counts requests and errors, and not the series of criteria alone."""
        return True

    @property
    def reads_journal(self) -> bool:
        """True if its numbers are taken and kept by the journal: while that is away there are none."""
        return False

    @property
    def measures_latency(self) -> bool:
        """True if its numbers include latencies, as far as the configuration tells."""
        return True

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...] | None:
        """Return the latencies in seconds that it counts at under a policy with these limits; None if its telemetry has
        buckets of its own, or there is no latency."""
        return None

    @property
    def more_edges(self) -> str:
        """The remedy for buckets that are too coarse."""
        if "edges" in type(self).model_fields:
            return "name lower latencies in `edges`, such as [50ms, 100ms, 250ms, 500ms, 1s]"
        return "give the histogram lower buckets where it is written"

    @property
    def measures_sums(self) -> bool:
        """True if its latencies come with their sum, from which a mean is computed."""
        return True

    @property
    def counts_instances(self) -> bool:
        """True if it knows of how many instances the series of criteria are."""
        return False

    @property
    def target_groups_read(self) -> Mapping[str, str]:
        """The target group of each target, as `targetgroup/name/id`, if it counts what reaches that, whichever version
        is there."""
        return {}

    def tells_apart(self, arms: Arms) -> bool:
        """True if the numbers of the two arms are not the same ones."""
        return True

    @property
    def follows_version(self) -> bool:
        """True if it finds a version by its name, wherever that runs; False if it finds whatever runs at the target, or
        has the labels."""
        return "$version" in repr(self)

    @property
    def shared_by_versions(self) -> str | None:
        """Option whose numbers are the same for any two versions, by the configuration alone; None if there is none."""
        return None

    latency_is_missing: ClassVar[str] = "`latency`: name the histogram there"
    """The missing thing and its remedy, if the source does not measure latencies."""

    @property
    def measures(self) -> str:
        """Measures that it has, for people whose criterion it cannot answer."""
        return "requests, errors and latency of the service as a whole"

    def check_series(self, series: Series) -> None:
        """Check the series of a criterion, when the configuration is read. Raises ValueError, which names the part that
        this source could never measure."""
        raise ValueError(
            f"a source of kind {self.kind} has no series of its own for a criterion: it measures {self.measures}"
        )

    def check_series_of(self, series: Series, arms: Arms) -> None:
        """Check the arms for a criterion's series. Raises ArmError if one lacks what the series need."""

    def tells_series_apart(self, series: Series) -> bool:
        """True if the numbers of the two arms are not the same ones in a criterion's series."""
        return True

    def check_split(self, label: str) -> None:
        """Check that requests can be counted by the values of a label. Raises ValueError, which says why not."""
        raise ValueError(f"a source of kind {self.kind} does not count requests by a label")

    def check_latency_split(self, label: str) -> None:
        """Check that latencies can be counted by the values of a label. Raises ValueError, which says why not."""
        raise ValueError(f"a source of kind {self.kind} does not count latencies by a label")

    def check(self, arms: Arms) -> None:
        """Check the arms. Raises ArmError if this source could never observe them."""


class ArmError(ValueError):
    """The request does not have what the source needs to tell the arms apart."""

    def __init__(self, field: str, message: str) -> None:
        self.field, self.problem = field, message
        super().__init__(f"{field}: {message}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the versions that are observed.

    `version` and `labels` come from the request and `target` is the name that it chose; `urls` are the addresses of
    that target, one for each instance, and come from the configuration alone.
    """

    version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    urls: tuple[str, ...] = ()

    def values(self, name: str) -> dict[str, str]:
        """Return the values of `$version`, `$target` and `$label`. Raises ArmError; `name` is the arm's, for the
        message."""
        values = {f"labels.{label}": value for label, value in self.labels.items()}
        values["version"] = self.version
        if self.target is not None:
            values["target"] = self.target
        for place, value in values.items():
            if not _LABEL_VALUE.fullmatch(value):
                raise ArmError(f"{name}.{place}", "use letters, digits and . _ : / @ + ~ - only, at most 128 of them")
        return {place.removeprefix("labels."): value for place, value in values.items()}


@dataclass(frozen=True, slots=True)
class Arms:
    """The versions that are compared; without a baseline none runs beside the candidate. `places` are the names of the
    service's targets, as far as an action may need them.
    """

    service: str
    candidate: Arm
    baseline: Arm | None = None
    places: tuple[str, ...] = ()

    @property
    def baseline_target(self) -> str | None:
        """The target of the baseline: the one in the request, or the other one of two than the candidate's."""
        if self.baseline is not None and self.baseline.target is not None:
            return self.baseline.target
        others = [place for place in self.places if place != self.candidate.target]
        return others[0] if len(self.places) == 2 and len(others) == 1 else None

    def named(self) -> dict[str, Arm]:
        """Return the existing arms, by the names that evidence has for them."""
        return {"candidate": self.candidate} | ({"baseline": self.baseline} if self.baseline else {})


@dataclass(frozen=True, slots=True)
class Look:
    """Result of one evaluation.

    `evidence` covers the time since the cursor that was passed in, and is None at the first evaluation, which only sets
    the cursor. `notes` are plain sentences for people: why an arm is silent, what looks misconfigured. `departed` are
    those of them that tell of a baseline which is there no more, as after it was replaced: no caveat of a pass, which
    did not need its numbers. `unasked` is true if there is no evidence since the source could not be asked.
    """

    evidence: Evidence | None
    cursor: Cursor
    notes: tuple[str, ...] = ()
    departed: tuple[str, ...] = ()
    unasked: bool = False


class SourceUnavailable(Exception):  # noqa: N818 — nothing is wrong with the candidate
    """There is no telemetry: the source is down, slow, partial, or returns nonsense. Never a failure of the candidate.

    The message is redacted and fit for people with a token. The previous cursor stays valid: the next evidence covers
    the gap.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        on_the_way: bool = False,
        is_refused: bool = False,
        unasked: bool = False,
    ) -> None:
        """`on_the_way` tells that a proxy or a token server failed: what was to be asked has heard nothing.
        `is_refused` tells that its host is there, and nobody listens at its port. `unasked` tells that a source which
        is no part of the service could not be asked, or refused to answer: it is no sign of the candidate."""
        self.kind, self._on_the_way, self.is_refused = kind, on_the_way, is_refused
        self.is_unasked = unasked or on_the_way
        super().__init__(message)

    @property
    def is_down(self) -> bool:
        """True if what was asked took no connection."""
        return self.kind is FailureKind.CONNECT and not self._on_the_way


class PushLog(Protocol):
    """The pushes of one gate, as the ledger stores them."""

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        """Return the pushes beyond `position`, in order. Positions count from 1 in the order of commits: none appears
        later below one that was already read."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """The dependencies that a gate gives to its source when it is created.

    `edges` are latencies in seconds that the policy has limits at: a source that chooses its own buckets uses them as
    edges. Only `push` needs `pushes`, and only `otlp` `telemetry`, which a daemon alone has. `series` are those of the
    policy's criteria that name this source: one evaluation reads all of them, and a source that can read none gets
    none. `by` is the label that its requests are split by, `latency_by` the one that their latencies are.
    """

    clock: Clock
    redact: Callable[[str], str]
    edges: tuple[float, ...] = ()
    pushes: PushLog | None = None
    series: tuple[Series, ...] = ()
    by: str | None = None
    telemetry: Receiver | None = None
    latency_by: str | None = None


class Source(Protocol):
    """The source of one gate.

    `observe` reads once. A cursor that was stored by another process, or before a restart, is as good as its own. It
    raises SourceUnavailable and nothing else, takes little longer than the configured timeout, and may be cancelled.
    `close` ends tasks and connections at once.
    """

    config_model: ClassVar[type[SourceConfig]]

    def __init__(self, config: Any, arms: Arms, context: SourceContext) -> None: ...

    async def observe(self, since: Cursor | None) -> Look: ...

    async def close(self) -> None: ...


@runtime_checkable
class HistoricalSource(Protocol):
    """A source that also has history: the baseline before the switch, or a whole deploy for a replay."""

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        """Return the evidence of every `step` seconds from `start` on, oldest first. Raises SourceUnavailable."""
