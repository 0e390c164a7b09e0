"""The tests of harm and of safety, a row a run."""

from collections.abc import Sequence

import numpy as np

from bench.detection.streams import Array
from bench.detection.vectorised.burstiness import Counts
from bench.detection.vectorised.joint_cap import Caps, JointCap
from bench.detection.vectorised.mixtures import (
    Mask,
    Mixture,
    OnsetMixture,
    harm_above,
    harm_ratio,
    log_weighted,
    safe_below,
    safe_ratio,
)
from healthd_gates.judge import deterioration, exceedance, processes, recurrence, refutation
from healthd_gates.judge.rules import Comparison


class LimitHarm:
    """ "The rate is at most `limit`"."""

    def __init__(
        self, runs: int, limit: float | Array, horizon: int, times: Sequence[float] = processes._HARM_TIMES
    ) -> None:
        """Set up the bets; with a limit for each run each is low enough for all of them."""
        self._limit = limit
        given = [k for k in times if k * np.max(limit) < 0.999]
        last = np.broadcast_to(0.999 / np.asarray(limit), (runs,))[:, None]
        self._times = np.column_stack((np.tile(given, (runs, 1)), last))
        self._mixture = OnsetMixture(runs, horizon, [1 / (len(given) + 1)] * (len(given) + 1))

    def step(self, own: Counts, odds: Array, cap: Array, mask: Mask | None = None) -> None:
        log_es = harm_above(own.y, own.m, self._limit, self._times, odds)
        self._mixture.step(np.minimum(cap[:, None], log_es), own.here if mask is None else own.here & mask)

    @property
    def log_e(self) -> Array:
        return self._mixture.log_e


class Catastrophe:
    """ "At most half of the requests fail"."""

    line = 0.5

    def __init__(self, runs: int, horizon: int) -> None:
        room = 1 / self.line - 1
        self._most = LimitHarm(runs, self.line, horizon, (1 + 0.3 * room, 1 + 0.6 * room))
        self._all = LimitHarm(runs, self.line, horizon, ())

    def step(self, own: Counts, odds: Array, cap: Array, outage_cap: Array) -> None:
        self._most.step(own, odds, cap)
        self._all.step(own, odds, outage_cap)

    @property
    def log_e(self) -> Array:
        return np.asarray(np.logaddexp(self._most.log_e, self._all.log_e) - np.log(2))


class BaselineHarm:
    """ "The rate is at most `ratio` times the baseline's"."""

    def __init__(self, runs: int, ratio: float, horizon: int, burst: int) -> None:
        self._ratio, self._times = ratio, np.array(processes._HARM_RATIOS)
        self._mixture = OnsetMixture(runs, horizon, processes._RATIO_WEIGHTS, processes._FIRST)
        self._onset, self._joint = Onset(runs), JointCap(runs, self._times.size)
        self._bursts = Refutation(runs, self._times.size, burst)

    def step(self, pair: Sequence[Array], odds: Array, caps: Caps, mask: Mask) -> None:
        n, x, _, _ = pair
        log_es = self._log_es(pair, odds)
        late = self._onset.step(n, x, mask & (log_es.max(axis=1) > 0), mask, caps.sure)
        credited = self._joint.step(log_es, caps, late, mask)
        share = caps.together / np.where(late, caps.late_reports, caps.reports)
        self._mixture.step(self._bursts.step(credited, n, x, share, late, mask), mask)

    def settle(self, pair: Sequence[Array], odds: Array, mask: Mask) -> None:
        """Take an interval in which the candidate settles."""
        self._onset.step(pair[0], pair[1], mask & (self._log_es(pair, odds).max(axis=1) > 0), mask)

    def _log_es(self, pair: Sequence[Array], odds: Array) -> Array:
        weight = (self._ratio * pair[0])[:, None]
        fraction = weight * (self._times - 1) / (weight * self._times + pair[2][:, None])
        return harm_ratio(pair, self._ratio, fraction, odds)

    @property
    def log_e(self) -> Array:
        return self._mixture.log_e


class Onset:
    """Whether bad reports in a row began after a calm that is not that of harm at their rate."""

    def __init__(self, runs: int) -> None:
        self._calm, self._run = np.zeros((2, runs)), np.zeros((2, runs))
        self._has_spells = np.zeros(runs, dtype=bool)

    def step(self, requests: Array, bad: Array, worse: Mask, mask: Mask, sure: float | Array = 0.0) -> Mask:
        report = np.array((requests, bad))
        self._calm += np.where(mask & ~worse, report, 0.0)
        self._run = np.where(worse, self._run + report, np.where(mask, 0.0, self._run))
        mean = (self._calm[1] + 0.5) / (self._calm[0] + 100)
        jumps = self._run[1] > refutation._JUMP * mean * self._run[0] + refutation._JUMP_ERRORS
        late = np.asarray(worse & _too_few(self._calm, self._run) & jumps)
        self._has_spells |= late & (self._two() >= sure)
        return np.asarray(late & self._has_spells)

    def _two(self) -> Array:
        """By how many nats a rate for each makes both likelier than one rate for both."""
        parts = np.array((self._calm, self._run))
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = parts.sum(axis=0)[1] / parts.sum(axis=0)[0]
            gains = parts[:, 1] * np.log(parts[:, 1] / (parts[:, 0] * pooled))
        return np.asarray(np.where(parts[:, 1] > 0, gains, 0.0).sum(axis=0))


class Refutation:
    """Takes back evidence of bursts that are over."""

    def __init__(self, runs: int, bets: int, longest: int) -> None:
        self._longest = longest
        self._gains, self._reports = np.zeros((runs, bets)), np.zeros(runs)
        self._strong = np.full(runs, refutation._STRONG)
        self._run, self._calm = np.zeros((2, runs)), np.zeros((2, runs))

    def _forget(self, mask: Mask) -> None:
        self._gains[mask], self._reports[mask], self._strong[mask] = 0.0, 0.0, refutation._STRONG
        self._run[:, mask], self._calm[:, mask] = 0.0, 0.0

    def step(self, log_es: Array, requests: Array, bad: Array, cap: Array, late: Mask, mask: Mask) -> Array:
        worse = mask & (log_es.max(axis=1) > 0)
        active = mask & (worse | (self._reports > 0))
        self._reports += active
        self._calm += np.where(active, np.array((requests, bad)), 0.0)
        self._run += np.where(worse, self._calm, 0.0)
        self._calm = np.where(worse, 0.0, self._calm)
        capped = np.where(late, refutation._LATE, refutation._CAPPED) * cap
        self._strong = np.where(worse, np.minimum(self._strong, capped), self._strong)
        self._gains = np.where(worse[:, None], self._gains + np.maximum(0.0, log_es), self._gains)
        refuted = active & ~worse & _too_few(self._calm, self._run) & (self._gains.max(axis=1) > self._strong)
        taken = np.where(refuted[:, None], self._gains, 0.0)
        self._forget(refuted | (active & (self._reports > self._longest)))
        return np.asarray(log_es - taken)


def _too_few(calm: Array, run: Array) -> Mask:
    with np.errstate(divide="ignore", invalid="ignore"):
        due = np.where(run[0] > 0, calm[0] * run[1] / run[0], 0.0)
    few = calm[1] <= np.minimum(refutation._PART * due, due - refutation._SIGMAS * np.sqrt(due) + 1)
    return np.asarray((due >= refutation._FEWEST) & few)


class Deterioration:
    """ "The rate is at most so many times what it was before", of the runs whose past says less than the limit."""

    def __init__(self, comparison: Comparison, limit: float, horizon: int, past: tuple[Array, Array], seconds: float):
        usual = np.array([self._usual(m, y, seconds) for m, y in zip(*past, strict=True)])
        allowed = np.maximum(comparison.floor, comparison.tolerated * usual)
        self.decides = allowed < limit
        self._allowed = np.where(self.decides, allowed, limit)
        self._cold = deterioration._COLD_TIMES * allowed < limit
        cold = np.where(self._cold, deterioration._COLD_TIMES * allowed, limit)
        runs = usual.size
        self._lasting, self._early = LimitHarm(runs, self._allowed, horizon), LimitHarm(runs, cold, horizon)
        self._recent: list[tuple[Array, Array]] = []

    @staticmethod
    def _usual(m: Array, y: Array, seconds: float) -> float:
        known = [(a, b, seconds) for a, b in zip(m.tolist(), y.tolist(), strict=True) if not np.isnan(a)]
        usual = deterioration.usual_rate(known)
        return np.inf if usual is None else usual

    def step(self, own: Counts, odds: Array, cap: Array, middle: float, most: int) -> None:
        """Take a look `middle` seconds after the switch; the last minute has `most` looks."""
        counts = own.here
        self._recent.append((np.where(counts, own.m, 0.0), np.where(counts, own.y, 0.0)))
        del self._recent[:-most]
        self._early.step(own, odds, cap)
        if middle >= deterioration._WARM:
            self._lasting.step(own, odds, cap)

    @property
    def is_worse_lately(self) -> Mask:
        """The runs that nothing lets pass."""
        m, y = (sum((part[place] for part in self._recent), np.zeros(self.decides.size)) for place in (0, 1))
        return np.asarray(self.decides & (y > self._allowed * m + 1))

    @property
    def log_e(self) -> Array:
        both = np.logaddexp(self._lasting.log_e, self._early.log_e) - np.log(2)
        return np.where(self._cold, both, self._lasting.log_e)


class LimitSafety:
    """ "The rate is at least `limit`"; `expected` is the rate that each run's past lets expect, NaN if unknown."""

    def __init__(self, runs: int, limit: float, expected: Array | None = None) -> None:
        self._limit, given = limit, np.array(processes._SAFE_TIMES)
        known = np.zeros(runs, dtype=bool) if expected is None else expected < given[0] * limit
        level = np.where(known, 1.0 if expected is None else expected, limit) / limit
        self._times = np.column_stack((np.tile(given, (runs, 1)), np.maximum(given[-1], level)))
        share = np.where(known, (1 - processes._KNOWN) / given.size, 1 / given.size)
        weights = np.column_stack((np.tile(share[:, None], given.size), np.where(known, processes._KNOWN, 0.0)))
        self._mixture = Mixture(runs, weights)

    def step(self, own: Counts, odds: Array) -> None:
        self._mixture.step(safe_below(own.y, own.m, self._limit, self._times, odds), own.here)

    @property
    def log_e(self) -> Array:
        return self._mixture.log_e


class BaselineSafety:
    """ "The rate is at least `ratio` times the baseline's"."""

    def __init__(self, runs: int, ratio: float) -> None:
        self._ratio = ratio
        size = len(processes._FRACTIONS) + len(processes._SCALED)
        self._mixture = Mixture(runs, np.full(size, 1 / size))

    def step(self, pair: Sequence[Array], odds: Array, mask: Mask) -> None:
        scale = (1 + pair[0] / odds)[:, None]
        fixed = np.tile(np.array(processes._FRACTIONS), (odds.size, 1))
        stakes = np.column_stack((fixed, np.array(processes._SCALED) / scale))
        self._mixture.step(safe_ratio(pair, self._ratio, stakes, odds), mask)

    @property
    def log_e(self) -> Array:
        return self._mixture.log_e


class Recurrence:
    """ "Disturbances come at most as often as they did in the past, or once in 25 minutes"."""

    def __init__(self, limit: float, maximum: float, past: tuple[Array, Array], past_seconds: float) -> None:
        runs = past[0].shape[0]
        self._limit = limit
        self._chance = self._often(past, past_seconds)
        self._mixture = OnsetMixture(runs, max(1, round(maximum / recurrence._WINDOW)), [1.0])
        self._counting = np.ones(runs, dtype=bool)
        self._requests, self._bad, self._seconds = np.zeros((3, runs))

    def step(self, own: Counts, newest: Array, spacing: Array, excused: Mask) -> None:
        counts = own.here & ~excused
        self._requests += np.where(counts, own.m, 0.0)
        self._bad += np.where(counts, own.y, 0.0)
        self._seconds += np.where(own.here, newest, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            longer = np.maximum(1.0, recurrence._WINDOW / self._seconds)
            disturbed = own.here & self._is_disturbed(np.nan_to_num(self._requests * longer), self._bad)
        closed = own.here & (disturbed | (self._seconds >= recurrence._WINDOW - 1e-6))
        bet = self._bet(disturbed, np.maximum(1.0, spacing / recurrence._WINDOW))
        self._mixture.step(bet[:, None], closed & self._counting)
        self._counting = np.where(closed, ~disturbed, self._counting)
        for part in (self._requests, self._bad, self._seconds):
            part[closed] = 0.0

    def _bet(self, disturbed: Mask, windows: Array) -> Array:
        chance = np.minimum(self._chance * windows, recurrence._MOST / 2)
        times = np.minimum(recurrence._TIMES, recurrence._MOST / chance)
        return np.where(disturbed, np.log(times), np.log1p(-chance * times) - np.log1p(-chance))

    def _is_disturbed(self, requests: Array, bad: Array) -> Mask:
        allowed = recurrence._BEYOND * self._limit * requests
        return np.asarray(bad > allowed + recurrence._SIGMAS * np.sqrt(allowed) + 1)

    def _often(self, past: tuple[Array, Array], seconds: float) -> Array:
        known = ~np.isnan(past[0]) & (seconds <= 1.5 * recurrence._WINDOW)
        disturbed = (known & self._is_disturbed(np.nan_to_num(past[0]), np.nan_to_num(past[1]))).sum(axis=1)
        often = np.maximum(recurrence._RARE, 2 * (disturbed + 1) / (known.sum(axis=1) + 1))
        return np.where(disturbed, often, recurrence._RARE)

    @property
    def log_e(self) -> Array:
        return self._mixture.log_e


class Floor:
    """The weighted mean of "below the floor" and "below the harmful ratio"."""

    def __init__(self, runs: int, floor: float, harmful: float, past: tuple[Array, Array]) -> None:
        m, y = np.nansum(past[0], axis=1), np.nansum(past[1], axis=1)
        rate = np.where(m >= 1000, (y + 0.5) / (m + 100), np.nan)
        self._floor, self._ratio = LimitSafety(runs, floor, rate), BaselineSafety(runs, harmful)
        expected = np.where(rate < exceedance._BELOW * floor, exceedance._EXPECTED, 1 - exceedance._EXPECTED)
        share = np.where(np.isnan(rate), 0.5, expected)
        self._weights = np.column_stack((share, 1 - share))
        self._pairs = np.zeros(runs)

    def step(self, own: Counts, pair: Sequence[Array], odds: Array, both: Mask) -> None:
        self._floor.step(own, odds)
        self._ratio.step(pair, odds, both)
        self._pairs += both

    @property
    def log_e(self) -> Array:
        ratio = self._ratio.log_e
        both = log_weighted(self._weights, np.column_stack((self._floor.log_e, ratio)))
        return np.where(self._pairs > 0, both, ratio)
