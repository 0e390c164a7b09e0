"""Counts that a load balancer or an application posts to the gate. The API receives a push, and the ledger stores
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import ClassVar, Literal
from urllib.parse import quote

from healthd.checks.failures import classify, describe
from healthd.model import FailureKind
from healthd.units import Duration, show_duration
from healthd_gates.domain.evidence import Counts, Histogram, Lives
from healthd_gates.domain.request import PushedCounts, PushedEvidence
from healthd_gates.domain.strata import OTHER, cleaned
from healthd_gates.sources import push_series
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import (
    Arms,
    Cursor,
    Look,
    PushLog,
    Series,
    SourceConfig,
    SourceContext,
    SourceUnavailable,
)
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.push_series import PushedSeries

_PARTS = " by"  # after the name of a sender, which has no space: its strata
_Pushes = Sequence[tuple[int, PushedEvidence]]


class PushConfig(SourceConfig):
    """Counts that are posted to the gate."""

    kind: Literal["push"]
    silent_after: Duration = 30.0
    """Time without a push after which an arm has no telemetry."""

    @property
    def lateness(self) -> float:
        return max(super().lateness, self.silent_after)

    @property
    def reads_journal(self) -> bool:
        return True

    @property
    def counts_instances(self) -> bool:
        return True

    @property
    def follows_version(self) -> bool:
        return True

    def check_series(self, series: Series) -> None:
        push_series.check(series)

    def check_split(self, label: str) -> None:
        """Any label will do: who pushes says by which it counts."""

    def check_latency_split(self, label: str) -> None:
        """Any label will do here too."""


class Push:
    """The pushes to one gate."""

    config_model: ClassVar[type[SourceConfig]] = PushConfig

    def __init__(self, config: PushConfig, arms: Arms, context: SourceContext) -> None:
        if context.pushes is None:
            raise ValueError("the push source needs the ledger's pushes")
        self._log: PushLog = context.pushes
        self._config, self._clock, self._redact = config, context.clock, context.redact
        self._arms, self._by, self._latency_by = list(arms.named()), context.by, context.latency_by
        self._series = {series.stream: PushedSeries(series, self._arms) for series in context.series}

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        if since is None:
            # Earlier pushes belong to this gate too, and are read at the next evaluation.
            first = combined({name: ArmLook(None, {}) for name in self._arms}, now, None)
            heard = dict.fromkeys(self._arms, now.timestamp())
            return replace(first, cursor={**first.cursor, "position": 0, "heard": heard, "streams": {}})
        before = Standpoint.from_json(since)
        pushes = await self._read(since["position"])
        heard = dict(since["heard"])
        for name in self._arms:
            if any(_of(push, name) for _, push in pushes):
                heard[name] = now.timestamp()
        arms = {name: self._look(name, before, pushes, now.timestamp() - heard[name]) for name in self._arms}
        look = combined(arms, now, before)
        position = max((position for position, _ in pushes), default=since["position"])
        own = {name: each.look(since.get("streams", {}).get(name), pushes) for name, each in self._series.items()}
        streams = {name: stream for name, (stream, _) in own.items()}
        stands = {name: stand for name, (_, stand) in own.items()}
        evidence = replace(look.evidence, streams=streams) if look.evidence is not None else None
        cursor = {**look.cursor, "position": position, "heard": heard, "streams": stands}
        return replace(look, evidence=evidence, cursor=cursor)

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    async def _read(self, position: int) -> _Pushes:
        try:
            return await self._log.after(position)
        except Exception as error:  # the journal's driver may raise anything
            told = self._redact(f"pushes: {describe(error)}")
            raise SourceUnavailable(classify(error), told, unasked=True) from error

    def _look(self, name: str, before: Standpoint, pushes: _Pushes, quiet: float) -> ArmLook:
        increase, parts, states, told = Increase(), Increase(), dict(before.arms.get(name, {})), False
        for position, push in pushes:
            if (counts := _of(push, name)) is None:
                continue
            if push.totals and push.at is not None:
                snapshot = Snapshot(push.at.timestamp(), _counters(counts, push.sender))
                known = states.get(push.sender)
                told = told or known is not None
                if (last := follow(known, [snapshot], increase)) is not None:
                    states[push.sender] = last
                if self._by in counts.by:
                    self._follow_parts(counts, push.sender, push.at.timestamp(), states, parts)
            else:
                # Each by itself: a sender may change its buckets from one push to the next.
                series = f"{push.sender}@{position}"
                increase.add(_counters(counts, series), resets=0)
                parts.add(self._parts(counts, series), resets=0)
                told = True
        if not told and quiet > self._config.silent_after:
            text = f"nothing was pushed for {show_duration(round(quiet))}"
            return ArmLook(None, states, gaps=1, silence=SourceUnavailable(FailureKind.TIMEOUT, text))
        lives = Lives(increase.restarts, increase.repeated)
        found = _split(increase.counts(), parts.counts()) if told else None
        return ArmLook(found, states, resets=increase.resets, lives=lives)

    def _follow_parts(
        self, counts: PushedCounts, sender: str, at: float, states: dict[str, Snapshot], into: Increase
    ) -> None:
        """Follow the totals of strata apart from those of all requests: a stratum that is no longer pushed, or a new
        one, must not look like a process that began anew."""
        key = f"{sender}{_PARTS}"
        known, values = states.get(key), self._parts(counts, sender)
        if known is not None:
            values = {**known.values, **values}
        if (last := follow(known, [Snapshot(at, values)], into)) is not None:
            states[key] = last

    def _parts(self, counts: PushedCounts, series: str) -> dict[Counter, float]:
        """Return the strata of a label as counters, each of its own."""
        values = dict[Counter, float]()
        for name, part in counts.by.get(self._by or "", {}).items():
            stratum = cleaned(name)
            amounts = {(Family.REQUESTS, "by", ""): part.requests, (Family.ERRORS, "by", ""): part.errors}
            if part.latency is not None and self._by == self._latency_by:
                amounts |= _buckets(part.latency.histogram(), f"{series}/{quote(stratum, safe='')}")
            for (family, own, edge), amount in amounts.items():
                counter = Counter(family, own, edge, stratum)
                values[counter] = values.get(counter, 0.0) + amount
        return values


def _split(counts: Counts, found: Counts) -> Counts:
    """Return the counts with their strata, in which those that no stratum has are one more."""
    if not found.strata:
        return counts
    parts = {name: (requests, min(errors, requests)) for name, (requests, errors) in found.strata.items()}
    rest = counts.requests - sum(requests for requests, _ in parts.values())
    failed = counts.errors - sum(errors for _, errors in parts.values())
    if rest > 0:
        before = parts.get(OTHER, (0.0, 0.0))
        parts[OTHER] = (before[0] + rest, before[1] + min(max(failed, 0.0), rest))
    return replace(counts, strata=parts, strata_latency=_split_latency(counts.latency, found.strata_latency))


def _split_latency(whole: Histogram | None, found: Mapping[str, Histogram]) -> dict[str, Histogram]:
    """Return the latencies of the strata, with those that no stratum has, as far as the buckets are the same."""
    parts = dict(found)
    if not parts or whole is None:
        return parts
    together = Histogram.together(list(parts.values()))
    if together.edges == whole.edges:
        rest = tuple(max(all_ - some, 0.0) for all_, some in zip(whole.counts, together.counts, strict=True))
        if sum(rest) > 0:
            others = [parts[OTHER]] if OTHER in parts else []
            parts[OTHER] = Histogram.together([Histogram(whole.edges, rest), *others])
    return parts


def _of(push: PushedEvidence, name: str) -> PushedCounts | None:
    return push.candidate if name == "candidate" else push.baseline


def _buckets(histogram: Histogram, series: str) -> dict[tuple[Family, str, str], float]:
    """Return the buckets as the keys of counters, by edge: they are cumulative, as everywhere."""
    below = zip(histogram.edges, accumulate(histogram.counts), strict=True)
    return {(Family.BUCKET, series, str(edge)): count for edge, count in below}


def _counters(counts: PushedCounts, series: str) -> dict[Counter, float]:
    """Return the counts as counters of a process."""
    values = {Counter(Family.REQUESTS, series): counts.requests, Counter(Family.ERRORS, series): counts.errors}
    if counts.latency is not None:
        histogram = counts.latency.histogram()
        values |= {Counter(*key): count for key, count in _buckets(histogram, series).items()}
        values[Counter(Family.SUM, series)] = histogram.sum_seconds
    return values
