"""Mixtures of e-values, a row a run, and the log e-values that they take."""

from collections.abc import Sequence

import numpy as np

from bench.detection.streams import Array

_TINY = 1e-9
Mask = np.ndarray


def log_weighted(weights: Array, logs: Array) -> Array:
    """Return ln Σ w·eᵛ over the last axis."""
    with np.errstate(invalid="ignore", divide="ignore"):
        high = logs.max(axis=-1)
        safe = np.where(np.isfinite(high), high, 0.0)
        return np.asarray(safe + np.log((weights * np.exp(logs - safe[..., None])).sum(axis=-1)))


class Mixture:
    """A mixture over alternatives, whose weights may differ by run."""

    def __init__(self, runs: int, weights: Array) -> None:
        self._weights = np.broadcast_to(weights, (runs, weights.shape[-1]))
        self._logs = np.zeros(self._weights.shape)

    def step(self, log_es: Array, mask: Mask) -> None:
        """Take an interval of the runs in the mask."""
        self._logs = np.where(mask[:, None], self._logs + log_es, self._logs)

    @property
    def log_e(self) -> Array:
        return log_weighted(self._weights, self._logs)


class OnsetMixture:
    """A mixture over alternatives and over the interval in which the harm began."""

    def __init__(self, runs: int, horizon: int, weights: Sequence[float], first: float = 0.5) -> None:
        self._weights = np.array(weights)
        self._logs = np.full((runs, len(weights)), -np.inf)
        self._first = np.full(runs, first)
        self._later = (1 - first) / max(1, horizon - 1)
        self._waiting = np.ones(runs)

    def step(self, log_es: Array, mask: Mask) -> None:
        """Take an interval of the runs in the mask."""
        weight = np.where(mask, np.minimum(self._waiting, self._first), 0.0)
        self._first = np.where(mask, self._later, self._first)
        self._waiting = self._waiting - weight
        with np.errstate(divide="ignore", invalid="ignore"):
            entered = np.logaddexp(self._logs, np.log(weight)[:, None])
            self._logs = np.where(mask[:, None], entered + log_es, self._logs)

    @property
    def log_e(self) -> Array:
        with np.errstate(divide="ignore"):
            waiting = np.where(self._waiting > 1e-15, np.log(np.maximum(self._waiting, 1e-300)), -np.inf)
            return np.logaddexp(log_weighted(self._weights, self._logs), waiting)


def tilt(errors: Array, requests: Array, limit: float | Array, times: Array, spread: Array) -> Array:
    """Return ln e of a negative binomial's tilt; `times` on the last axis."""
    e, n, s = errors[:, None], requests[:, None], spread[:, None]
    level = np.broadcast_to(limit, errors.shape)[:, None]
    return np.asarray(e * np.log(times) - (e + n * level / s) * np.log1p(s * (times - 1) / (1 + s)))


def harm_above(errors: Array, requests: Array, limit: float | Array, times: Array, odds: Array) -> Array:
    """Return ln e against "the error rate is at most `limit`"."""
    spread = (1 - limit) * (1 + np.maximum(requests - 1, 0.0) / odds) - 1
    return tilt(errors, requests, limit, times, np.where(np.abs(spread) < _TINY, _TINY, spread))


def safe_below(errors: Array, requests: Array, limit: float, times: Array, odds: Array) -> Array:
    """Return ln e against "the error rate is at least `limit`"."""
    return tilt(errors, requests, limit, times, np.maximum(requests / odds, _TINY))


def harm_ratio(pair: Sequence[Array], ratio: float, fraction: Array, odds: Array) -> Array:
    """Return ln e against "p ≤ ratio · p_baseline", for stakes of shape (runs, bets)."""
    n, x, m, y = (part[:, None] for part in pair)
    spread, other = np.maximum(n / odds[:, None], _TINY), np.maximum(m / odds[:, None], _TINY)
    gain = -fraction * np.expm1(-np.log1p(other) / ratio) / spread
    loss = np.expm1(-ratio * np.log1p(-spread * gain)) / other
    return np.asarray(x * np.log1p(gain) + y * np.log1p(-np.minimum(loss, 1 - 1e-12)))


def safe_ratio(pair: Sequence[Array], ratio: float, fraction: Array, odds: Array) -> Array:
    """Return ln e against "p ≥ ratio · p_baseline", for stakes of shape (runs, bets)."""
    n, x, m, y = (part[:, None] for part in pair)
    spread, other = np.maximum(n / odds[:, None], _TINY), np.maximum(m / odds[:, None], _TINY)
    gain = -np.expm1(-ratio * np.log1p(spread * fraction)) / other
    return np.asarray(x * np.log1p(-fraction) + y * np.log1p(gain))
