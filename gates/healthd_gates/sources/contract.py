"""What every source of traffic numbers is: a config model and a class with `observe` and `close`. The kinds themselves
live beside this; what the numbers mean is the judge's business.

Three things look alike and are kept apart everywhere. No telemetry: nobody could say what happened; an arm is None, or
SourceUnavailable is raised. No traffic: it is known that nothing happened; requests are 0. Zero errors: there were
requests, and none of them failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from healthd.config.settings import Model
from healthd.model import FailureKind
from healthd.runtime.clock import Clock
from healthd.units import Duration
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.request import PushedEvidence

Cursor = Mapping[str, Any]
"""Where a source stands: JSON, written by the source and read by nobody else. Stored with the evidence that it came
with, it lets a gate that was killed go on with exact counts."""

# Narrower than what a selector could carry, since a label that needs more is more often an attack than a version.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+~-]{0,127}")


class SourceConfig(Model):
    """What every kind of source can be told."""

    kind: str
    timeout: Duration = 5.0
    """How long one look may take."""

    @property
    def lateness(self) -> float:
        """Seconds for which a source that works may have nothing new. After that there is no telemetry."""
        return 60.0

    @property
    def sees_traffic(self) -> bool:
        """Whether it counts what users ask, so that it can tell which of two versions has their traffic."""
        return True

    def tells_apart(self, arms: Arms) -> bool:
        """Whether the numbers of the two arms are not the same ones."""
        return True

    def check(self, arms: Arms) -> None:
        """Raises ArmError when this source could not observe these arms, whatever happened."""


class ArmError(ValueError):
    """The request does not say what the source needs to tell the arms apart."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the versions that are observed.

    `version` and `labels` come from the request and `target` is the name that it chose; `urls` is where that target
    answers, one an instance, and comes from the configuration alone.
    """

    version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    urls: tuple[str, ...] = ()

    def values(self, name: str) -> dict[str, str]:
        """What `$version`, `$target` and `$label` stand for. Raises ArmError; `name` is the arm's, for the message."""
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
    """Who is judged, and against whom; no baseline means that nobody runs beside the candidate. `places` are the names
    of the service's targets, as far as an action may need them.
    """

    service: str
    candidate: Arm
    baseline: Arm | None = None
    places: tuple[str, ...] = ()

    @property
    def baseline_target(self) -> str | None:
        """Where the baseline runs: where the request says, or at the other one of two places than the candidate."""
        if self.baseline is not None and self.baseline.target is not None:
            return self.baseline.target
        others = [place for place in self.places if place != self.candidate.target]
        return others[0] if len(self.places) == 2 and len(others) == 1 else None

    def named(self) -> dict[str, Arm]:
        """The arms that there are, by the names that evidence has for them."""
        return {"candidate": self.candidate} | ({"baseline": self.baseline} if self.baseline else {})


@dataclass(frozen=True, slots=True)
class Look:
    """What one look gave.

    `evidence` covers the time since the cursor that was handed in, and is None at the first look, which only sets the
    cursor. `notes` are plain sentences for people: why an arm is silent, what looks misconfigured.
    """

    evidence: Evidence | None
    cursor: Cursor
    notes: tuple[str, ...] = ()


class SourceUnavailable(Exception):  # noqa: N818 — nothing is wrong with the candidate
    """There is no telemetry: the source is down, slow, partial, or talks nonsense. Never a failure of the candidate.

    The message is redacted and fit for people with a token. The cursor of the look before stays valid: the next
    evidence covers the gap.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class PushLog(Protocol):
    """The pushes of one gate, as the ledger keeps them."""

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        """Those beyond `position`, in order. Positions count from 1 in the order of commits: none appears later below
        one that was already read."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a gate hands to its source at birth.

    `edges` are latencies in seconds that the policy has limits at: a source that chooses its own buckets puts an edge
    there. `pushes` is needed by `push` alone.
    """

    clock: Clock
    redact: Callable[[str], str]
    edges: tuple[float, ...] = ()
    pushes: PushLog | None = None


class Source(Protocol):
    """One gate's eyes.

    `observe` looks once. A cursor that was stored by another process, or before a restart, is as good as one's own. It
    raises SourceUnavailable and nothing else, takes little longer than the configured timeout, and may be cancelled.
    `close` ends tasks and connections at once.
    """

    config_model: ClassVar[type[SourceConfig]]

    def __init__(self, config: Any, arms: Arms, context: SourceContext) -> None: ...

    async def observe(self, since: Cursor | None) -> Look: ...

    async def close(self) -> None: ...


@runtime_checkable
class HistoricalSource(Protocol):
    """A source that can also tell what was: the baseline before the switch, or a whole deploy for a replay."""

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        """The evidence of every `step` seconds from `start` on, oldest first. Raises SourceUnavailable."""
