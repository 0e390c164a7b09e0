"""The criterion of the error rate for many runs at once, and when each of them fails or would pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.detection.streams import HISTORY_SECONDS, Array, Stream
from bench.detection.vectorised.burstiness import Burstiness, Counts, without_incident
from bench.detection.vectorised.hypotheses import (
    BaselineHarm,
    Catastrophe,
    Deterioration,
    Floor,
    LimitHarm,
    LimitSafety,
    Recurrence,
)
from bench.detection.vectorised.joint_cap import Caps
from bench.detection.vectorised.mixtures import Mask, log_weighted
from healthd_gates.judge import criterion, deterioration, error_rate
from healthd_gates.judge.past import SHOWS_SPELLS
from healthd_gates.judge.rhythm import _REMEMBERED
from healthd_gates.judge.rules import Against, Comparison, Rules

MayPass = Callable[[int, int], bool]
"""Says of a run and a look, both numbers, whether all else lets the gate pass."""


@dataclass(frozen=True)
class Endings:
    """The look at which each run failed, and at which it passed; -1 where it did not."""

    failed: np.ndarray
    passed: np.ndarray


class ErrorRates:
    """The error rate of many runs, all with the same rules; runs are rows. Without `proves` no safety is proven."""

    def __init__(
        self,
        rules: Rules,
        comparison: Comparison | None,
        limit: float,
        past: tuple[Array, Array],
        *,
        proves: bool = True,
    ) -> None:
        timing, runs = rules.timing, past[0].shape[0]
        self._timing = timing
        frame = criterion.Frame(rules.risk, timing)
        self._frame, horizon = frame, frame.horizon
        known = (~np.isnan(past[0])).sum(axis=1) * HISTORY_SECONDS
        self._spell = np.where(known >= SHOWS_SPELLS, 0.0, error_rate._SPELL)
        kept = without_incident(*past, HISTORY_SECONDS)
        self._burstiness = Burstiness(runs, kept, HISTORY_SECONDS, timing.interval)
        self._catastrophe = Catastrophe(runs, horizon + round(timing.initial_delay / timing.interval))
        self._limit = limit
        self._above_limit = LimitHarm(runs, limit, horizon)
        self._below_limit = LimitSafety(runs, limit) if proves else None
        self._recurrence = Recurrence(limit, timing.maximum, kept, HISTORY_SECONDS)
        self._baseline = self._floor = None
        self._before: Deterioration | None = None
        if comparison is not None and comparison.against is Against.BEFORE:
            self._before = Deterioration(comparison, limit, horizon, past, HISTORY_SECONDS)
        elif comparison is not None:
            self._baseline = BaselineHarm(runs, comparison.tolerated, horizon, frame.burst)
            self._floor = Floor(runs, comparison.floor, comparison.harmful, kept) if proves else None
        self._pending = np.zeros((4, runs))
        self._recent: list[tuple[Array, Array]] = []
        self._requests, self._bad = np.zeros((2, runs))
        self._elapsed = 0.0
        self._rhythm = _Rhythms(runs, timing.interval)

    def step(self, own: Counts, other: Counts | None, span: float | None) -> None:
        """Take the next look."""
        interval = self._timing.interval
        settling = self._elapsed + interval / 2 < self._timing.initial_delay
        self._elapsed += interval
        self._rhythm.step(own.here, span)
        odds = self._burstiness.odds
        self._remember(other, own.m.size)
        touched = self._rhythm.touched(self._timing.blip)
        self._against_catastrophe(own, odds, touched)
        if not settling:
            late = self._rhythm.touched(np.maximum(2 * self._timing.blip, self._spell) if self._timing.blip else 0.0)
            sure = np.where(self._spell > 0, criterion._SURE, 0.0)
            self._judge(own, other, odds, Caps(self._frame.harm_needed, touched, late, sure))
        elif self._baseline is not None and other is not None:
            both = own.here & other.here & (own.m > 0) & (other.m > 0)
            self._baseline.settle(_where(both, (own.m, own.y, other.m, other.y)), odds, both)
        self._burstiness.learn(own, other, settling=settling)

    def _remember(self, other: Counts | None, runs: int) -> None:
        nothing = np.zeros(runs)
        self._recent.append((nothing, nothing) if other is None else (other.m * other.here, other.y * other.here))
        del self._recent[: -max(1, round(60.0 / self._timing.interval))]

    def _troubled(self, rate: float) -> Mask:
        m, y = self._recent[-1]
        all_m, all_y = sum(part[0] for part in self._recent), sum(part[1] for part in self._recent)
        return np.asarray((y > rate * m) | (all_y > rate * all_m))

    def _against_catastrophe(self, own: Counts, odds: Array, touched: Array) -> None:
        enough = self._frame.harm_needed + criterion._CATASTROPHE_MARGIN
        spacing, blip = self._rhythm.spacing, self._timing.blip
        whole = spacing >= 0.9 * blip
        outage = np.where(whole, np.inf, enough * spacing / blip) if blip else np.full(touched.shape, np.inf)
        shared = self._troubled(self._catastrophe.line / 2)
        self._catastrophe.step(own, odds, np.where(shared, 0.0, enough / touched), np.where(shared, 0.0, outage))

    def _judge(self, own: Counts, other: Counts | None, odds: Array, caps: Caps) -> None:
        self._requests += np.where(own.here, own.m, 0.0)
        self._bad += np.where(own.here, np.minimum(own.y, own.m), 0.0)
        excused, cap = self._troubled(self._limit / 2), caps.together / caps.reports
        self._above_limit.step(own, odds, np.where(excused, 0.0, cap))
        if self._below_limit is not None:
            self._below_limit.step(own, odds)
        self._recurrence.step(own, self._rhythm.newest, self._rhythm.spacing, excused)
        if self._before is not None:
            lasting = self._rhythm.touched(max(deterioration._LASTING, self._timing.blip))
            middle = self._elapsed - self._timing.interval / 2
            most = max(1, round(60.0 / self._timing.interval))
            self._before.step(own, odds, np.where(excused, 0.0, self._frame.harm_needed / lasting), middle, most)
        if self._baseline is None or other is None:
            return
        self._pending[:2] += np.where(own.here, np.array((own.m, own.y)), 0.0)
        self._pending[2:] += np.where(other.here, np.array((other.m, other.y)), 0.0)
        both = own.here & other.here & (self._pending[0] > 0) & (self._pending[2] > 0)
        pair = _where(both, tuple(self._pending))
        self._baseline.step(pair, odds, caps, both)
        if self._floor is not None:
            self._floor.step(own, pair, odds, both)
        self._pending[:, both] = 0.0

    @property
    def log_e_harm(self) -> Array:
        """ln E of harm of each run."""
        parts: list[tuple[float | Array, Array]] = [(error_rate._CATASTROPHE, self._catastrophe.log_e)]
        share = error_rate._RECURRENCE_ALONE if self._baseline is None else error_rate._RECURRENCE
        parts.append((share, self._recurrence.log_e))
        rest = 1 - error_rate._CATASTROPHE - share
        if self._before is not None:
            weight = np.where(self._before.decides, error_rate._BEFORE, 0.0)
            parts += [(weight, self._before.log_e), (rest - weight, self._above_limit.log_e)]
        elif self._baseline is None:
            parts.append((rest, self._above_limit.log_e))
        else:
            parts.append((error_rate._LIMIT, self._above_limit.log_e))
            parts.append((rest - error_rate._LIMIT, self._baseline.log_e))
        weights = [np.broadcast_to(weight, self._bad.shape) for weight, _ in parts]
        return log_weighted(np.column_stack(weights), np.column_stack([part[1] for part in parts]))

    @property
    def proven(self) -> Mask:
        """The runs in which safety is proven."""
        if self._below_limit is None:
            return np.zeros(self._bad.shape, dtype=bool)
        safe = self._below_limit.log_e
        if self._floor is not None:
            safe = np.minimum(safe, self._floor.log_e)
        within = self._bad <= self._limit * self._requests + 1e-9
        if self._before is not None:
            within &= ~self._before.is_worse_lately
        return np.asarray((safe >= self._frame.safety_needed) & (self.log_e_harm <= 0) & within)


def _where(mask: Mask, pair: Sequence[Array]) -> list[Array]:
    """Return the counts of the runs in the mask, and harmless ones of the others."""
    return [np.where(mask, part, blank) for part, blank in zip(pair, (1.0, 0.0, 1.0, 0.0), strict=True)]


class _Rhythms:
    """How far apart the reports of each run are, and how far back they reach."""

    def __init__(self, runs: int, interval: float) -> None:
        self._interval, self._since = interval, np.zeros(runs)
        self._spacings, self._spans = np.full((2, runs, _REMEMBERED), np.nan)
        self._place = np.zeros(runs, dtype=int)
        self._is_even = True
        self.newest, self.spacing, self.span = np.ones((3, runs))

    def step(self, here: Mask, span: float | None) -> None:
        """Take a look, in which some runs have a report."""
        self._since += self._interval
        if self._is_even and here.all():
            column = self._place[0] % _REMEMBERED
            self._spacings[:, column] = self.newest[:] = self.spacing[:] = self._interval
            self._spans[:, column] = self.span[:] = max(self._interval, span or 0.0)
            self._place += 1
            self._since[:] = 0.0
            return
        self._is_even = False
        rows = np.flatnonzero(here)
        columns = self._place[rows] % _REMEMBERED
        reach = np.maximum(self._since[rows], span or 0.0)
        self._spacings[rows, columns], self._spans[rows, columns] = self._since[rows], reach
        self._place[rows] += 1
        self.newest[rows] = self._since[rows]
        self.spacing[rows] = np.nanmedian(self._spacings[rows], axis=1)
        self.span[rows] = np.maximum(reach, np.nanmedian(self._spans[rows], axis=1))
        self._since[rows] = 0.0

    def touched(self, blip: float | Array) -> Array:
        if not np.any(blip):
            return np.ones(self.span.shape)
        return np.maximum(1, np.ceil((blip + self.span) / self.spacing - 0.1))


def endings(
    rules: Rules,
    comparison: Comparison | None,
    limit: float,
    share: float,
    streams: Sequence[Stream],
    may_pass: MayPass | None,
) -> Endings:
    """Return how the streams end, without a `may_pass` by harm alone. The other criteria have the rest of the `share`
    of the risk, and an E of 1.
    """
    past = tuple(np.array([stream.history[part] for stream in streams]) for part in (0, 1))
    n, x, m, y = (np.array([getattr(stream, part) for stream in streams]) for part in "nxmy")
    judge = ErrorRates(rules, comparison, limit, (past[0], past[1]), proves=may_pass is not None)
    failed = np.full(len(streams), -1)
    passed = failed.copy()
    timing, needed = rules.timing, judge._frame.harm_needed
    weights = np.array((share, 1 - share))
    for look in range(n.shape[1]):
        beside = comparison is not None and comparison.against is Against.CONCURRENT
        other = None if not beside else Counts.of(m[:, look], y[:, look])
        judge.step(Counts.of(n[:, look], x[:, look]), other, streams[0].span)
        going = (failed < 0) & (passed < 0)
        log_e = judge.log_e_harm
        all_in_all = log_weighted(weights, np.column_stack((log_e, np.zeros(log_e.size))))
        failed[going & (all_in_all >= needed)] = look
        elapsed = (look + 1) * timing.interval
        if may_pass is not None and elapsed >= timing.initial_delay + timing.minimum - 0.05 * timing.interval:
            for run in np.flatnonzero(going & (failed < 0) & judge.proven):
                if may_pass(int(run), look):
                    passed[run] = look
        if not ((failed < 0) & (passed < 0)).any():
            break
    return Endings(failed, passed)
