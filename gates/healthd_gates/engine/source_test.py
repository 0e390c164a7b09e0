"""Tests a source as a gate would use it, for people who set it up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd.units import show_duration
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Bound
from healthd_gates.engine.observer import Traffic
from healthd_gates.engine.source_check import edge_at, inspected, with_buckets, without_answer
from healthd_gates.judge import explain
from healthd_gates.judge.quantiles import known_quantile
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import (
    Arms,
    HistoricalSource,
    Source,
    SourceConfig,
    SourceContext,
    SourceUnavailable,
)
from healthd_gates.sources.inspection import ArmInspection, Inspection

_INSPECTION = 15.0
_GRACE = 2.0
_PAST, _STEP = 300.0, 5.0
_LOOK_EVERY = 1.0
_NONE = (0.0, 0.0)
_NUMBER = re.compile(r"\d+")
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class ArmSeen:
    """One arm: the counts of `seconds`, None if they are not known, and what the source says about it."""

    counts: Counts | None
    seconds: float
    inspection: ArmInspection = field(default_factory=ArmInspection)

    @property
    def quantiles(self) -> Mapping[float, float | None]:
        """The quantiles in seconds, or None without requests; those in `bounds` are no estimates."""
        return {
            level: it[0] if it else None for level, it in _known(self.counts.latency if self.counts else None).items()
        }

    @property
    def bounds(self) -> Mapping[float, Bound]:
        """Bounds that the numbers of the quantiles are where they are no estimates."""
        known = _known(self.counts.latency if self.counts else None)
        return {level: it[1] for level, it in known.items() if it and it[1] is not None}

    def quantiles_of(self, stratum: str) -> Mapping[float, tuple[float, Bound | None]]:
        """Return the quantiles of a stratum, with what they are if they are no estimates; empty without latencies of
        its own."""
        known = _known(self.counts.strata_latency.get(stratum) if self.counts else None)
        return {level: it for level, it in known.items() if it is not None}

    def per_minute(self, count: float) -> float:
        return count * 60.0 / self.seconds if self.seconds else 0.0


def _known(latency: Histogram | None) -> dict[float, tuple[float, Bound | None] | None]:
    return {level: known_quantile(latency, level) for level in QUANTILES} if latency else {}


@dataclass(frozen=True, slots=True)
class SourceTested:
    """Result of a source test. `refused` prevents a gate from starting; one could start with what is `missing`, and
    could not be judged; `doubtful` may be intended. A source whose `counts_requests` is False only has numbers for
    criteria of their own. A gate that `ramps` gives the candidate its traffic itself."""

    kind: str
    arms: Mapping[str, ArmSeen]
    gaps: int = 0
    refused: Sequence[str] = ()
    missing: Sequence[str] = ()
    doubtful: Sequence[str] = ()
    counts_requests: bool = True
    ramps: bool = False

    @property
    def awaits_traffic(self) -> bool:
        """True if the candidate has no requests, as is right before a ramp."""
        return self.ramps and self.counts_requests and not self._has_requests("candidate")

    @property
    def able(self) -> bool:
        """True if a gate could be judged by it now: it is not refused, and the candidate has requests; before a ramp
        the baseline has them."""
        if self.refused or self.missing:
            return False
        if not self.counts_requests:
            seen = self.arms.get("candidate")
            return seen is not None and bool(seen.inspection.numbers)
        return self._has_requests("baseline" if self.awaits_traffic else "candidate")

    def _has_requests(self, arm: str) -> bool:
        counts = self.arms[arm].counts if arm in self.arms else None
        return counts is not None and counts.requests > 0


async def try_source(
    config: SourceConfig,
    arms: Arms,
    context: SourceContext,
    seconds: float,
    *,
    ramps: bool = False,
    criteria: Sequence[CriterionConfig] = (),
) -> SourceTested:
    """Read a source as a gate would, of one that `ramps` if so: the last minutes if it keeps history, else for
    `seconds`.

    What its buckets would hide of `criteria` is told, and refused where a start is. Raises ArmError for arms that it
    cannot tell apart.
    """
    source, problems = build_source(config, arms, context), list[str]()
    try:
        inspection = with_buckets(config, await inspected(source, _INSPECTION), criteria)
        past = list[Evidence]()
        if any(arm.counts is not None for arm in inspection.arms.values()) or not config.counts_requests:
            pass  # the counts that it has already, or none that it will ever have
        elif isinstance(source, HistoricalSource):
            now = context.clock.now()
            past = await with_deadline(
                config.timeout + _GRACE, source.history(now - timedelta(seconds=_PAST), now, _STEP), name="history"
            )
        counted = any(arm.counts is not None for arm in inspection.arms.values()) or not config.counts_requests
        if not past and not counted:
            past, problems = await _watch(lambda: build_source(config, arms, context), config, context, seconds)
    except (SourceUnavailable, DeadlineExceededError) as outage:
        silent = without_answer(outage)
        return SourceTested(config.kind, {}, refused=silent.refused, missing=silent.doubtful)
    finally:
        await source.close()
    seen = {name: _arm(name, past, inspection) for name in arms.named()}
    refused, missing = [*inspection.refused], list[str]()
    judged = [arm.counts for arm in seen.values() if arm.counts is not None and arm.counts.requests > 0]
    if context.edges and judged and judged[0].latency is None:
        missing.append("the policy has a limit of latency, and no latencies are seen")
    missing += [_miscounted(name, arm.counts) for name, arm in seen.items() if arm.counts and _is_torn(arm.counts)]
    if not config.tells_apart(arms):
        missing.append("both versions are counted by the same numbers: use $version, $target or a label")
    if not refused:  # which says it of all latencies that there may be
        missing += _undecided(judged[0].latency if judged else None, criteria)
    beyond = [_beyond(name, arm) for name, arm in seen.items() if arm.bounds.get(min(QUANTILES)) is Bound.ABOVE]
    if refused:  # which says of all lines or series what a look says of a few
        problems = []
    newest = {_NUMBER.sub("", problem): problem for problem in problems}.values()
    doubtful = dict.fromkeys((*inspection.doubtful, *inspection.unseen, *newest, *beyond))
    gaps = sum(each.gaps for each in past)
    return SourceTested(config.kind, seen, gaps, refused, missing, tuple(doubtful), config.counts_requests, ramps)


def _undecided(latency: Histogram | None, criteria: Sequence[CriterionConfig]) -> list[str]:
    return [
        f"criterion {each.name} would stay open: its limit of {show_duration(limit)} and what it judges are in the same"
        f" bucket: {edge_at(limit)}"
        for each in criteria
        if latency is not None and each.critical and each.undecided_by(latency)
        for limit in each.latency_limits
    ]


def _is_torn(counts: Counts) -> bool:
    """True if errors are counted that are no requests; what is counted at two moments differs less."""
    return counts.errors > 1.1 * counts.requests + 2


def _miscounted(name: str, counts: Counts) -> str:
    return (
        f"{name}: more errors ({counts.errors:,.4g}) than requests ({counts.requests:,.4g}): `requests` and `errors` do"
        " not count the same thing, or a name in one of them is misspelt"
    )


def _beyond(name: str, arm: ArmSeen) -> str:
    seconds = explain.seconds(max(value or 0.0 for value in arm.quantiles.values()))
    return (
        f"{name}: most requests took longer than {seconds}, the highest latency that is counted at: is the unit right"
        " (`latency_unit`)? Milliseconds that are read as seconds look so"
    )


async def _watch(
    build: Callable[[], Source], config: SourceConfig, context: SourceContext, seconds: float
) -> tuple[list[Evidence], list[str]]:
    traffic = Traffic(build, config, None)
    seen, notes = list[Evidence](), list[str]()
    end = context.clock.steady() + seconds
    try:
        while True:
            look = await traffic.look()
            notes += look.notes
            if look.evidence is not None:
                seen.append(look.evidence)
            if context.clock.steady() >= end:
                return seen, notes
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        await traffic.close()


def _arm(name: str, past: Sequence[Evidence], inspection: Inspection) -> ArmSeen:
    inspected = inspection.arms.get(name, ArmInspection())
    if inspected.counts is not None:
        return ArmSeen(inspected.counts, inspected.counted, inspected)
    told: list[Counts | None] = [getattr(each, name) for each in past]
    busy = [place for place, counts in enumerate(told) if counts is not None and counts.requests > 0]
    # Of a log, or a version, that has just begun: before its first request there was nothing to count.
    first = busy[0] + (len(busy) > 1) if busy and busy[0] else 0
    total: Counts | None = None
    for counts in told[first:]:
        total = counts if total is None else total if counts is None else _together(total, counts)
    return ArmSeen(total, sum(each.seconds for each in past[first:]), inspected)


def _together(one: Counts, other: Counts) -> Counts:
    """Return the sum of both; of latencies only the newer ones, if the buckets have changed."""
    latency = _summed(one.latency, other.latency)
    strata = {
        name: (one.strata.get(name, _NONE)[0] + more[0], one.strata.get(name, _NONE)[1] + more[1])
        for name, more in other.strata.items()
    }
    before = one.strata_latency
    apart = {name: _summed(before.get(name), more) or more for name, more in other.strata_latency.items()}
    requests, errors = one.requests + other.requests, one.errors + other.errors
    return Counts(requests, errors, latency, {**one.strata, **strata}, {**before, **apart})


def _summed(one: Histogram | None, other: Histogram | None) -> Histogram | None:
    return Histogram.together([one, other]) if one and other and one.edges == other.edges else other or one
