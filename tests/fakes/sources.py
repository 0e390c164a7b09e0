"""What a gate does with a source, as tests need it: a clock set by hand, looks in a row, and their sum."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from pydantic import TypeAdapter

from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.sources import AnySource, build_source
from healthd_gates.sources.contract import Arm, Arms, Cursor, Look, PushLog, Series, Source, SourceConfig, SourceContext
from healthd_gates.sources.otlp.receiver import Receiver

_config: TypeAdapter[SourceConfig] = TypeAdapter(AnySource)


class HandClock:
    """Stands still until moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def steady(self) -> float:
        return self.at.timestamp()

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class WallClock(HandClock):
    """The machine's."""

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.monotonic()


@dataclass
class Desk:
    """One gate's looks. The cursor goes through JSON each time, as through the journal."""

    source: Source
    clock: HandClock
    cursor: Cursor | None = None
    looks: list[Look] = field(default_factory=list)

    async def look(self, after: float = 0.0) -> Look:
        """Look once, `after` seconds on the clock from now."""
        self.clock.forward(after)
        look = await self.source.observe(self.cursor)
        self.cursor = json.loads(json.dumps(look.cursor))
        self.looks.append(look)
        return look

    async def seen(self, after: float = 0.0) -> Evidence:
        """The evidence of a look that has some."""
        evidence = (await self.look(after)).evidence
        assert evidence is not None
        return evidence

    def total(self, arm: str = "candidate") -> Counts | None:
        """All counts of an arm so far; None if it never said anything."""
        total: Counts | None = None
        for look in self.looks:
            counts = getattr(look.evidence, arm) if look.evidence else None
            if counts is not None:
                total = counts if total is None else added(total, counts)
        return total

    @property
    def resets(self) -> int:
        return sum(look.evidence.resets for look in self.looks if look.evidence)

    @property
    def gaps(self) -> int:
        return sum(look.evidence.gaps for look in self.looks if look.evidence)


def added(one: Counts, other: Counts) -> Counts:
    """Both together; their buckets must be the same where both have any."""
    latency = one.latency or other.latency
    if one.latency and other.latency:
        assert one.latency.edges == other.latency.edges
        pairs = zip_longest(one.latency.counts, other.latency.counts)
        total = one.latency.sum_seconds + other.latency.sum_seconds
        latency = Histogram(one.latency.edges, tuple(a + b for a, b in pairs), total)
    return Counts(one.requests + other.requests, one.errors + other.errors, latency)


def desk(
    config: dict[str, Any],
    clock: HandClock | None = None,
    *,
    candidate: Arm | None = None,
    baseline: Arm | None = None,
    edges: tuple[float, ...] = (),
    pushes: PushLog | None = None,
    by: str | None = None,
    telemetry: Receiver | None = None,
    series: tuple[Series, ...] = (),
    latency_by: str | None = None,
) -> Desk:
    """A gate with a source from its configuration, as a file would give it."""
    clock = clock or WallClock()
    model = _config.validate_python(config)
    context = SourceContext(clock, Redactor(secrets_of(model)), edges, pushes, series, by, telemetry, latency_by)
    arms = Arms("shop", candidate or Arm("2"), baseline)
    return Desk(build_source(model, arms, context), clock)
