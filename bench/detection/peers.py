"""Other rules on the same streams: when each would have rolled back, in seconds after the switch, or inf for never.

Each tool has a limit of 5 % where one is needed. What was compared with the originals, on 2,160 streams: Flagger's
controller (15bd6ad), Argo Rollouts' assessment (9f8d111), Kayenta's judge (a69573b).
"""

from collections.abc import Callable, Sequence
from math import inf, log, sqrt

import numpy as np

from bench.detection.streams import INITIAL_DELAY, Array, Stream

LIMIT = 0.05
TOLERATED = 1.25
_FRACTIONS = np.array((0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9))
_TIMES = np.array((1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 19.98))


def one_look(stream: Stream, interval: float) -> float:
    """One look after 30 s: roll back above 5 % errors."""
    steps = round(30 / interval)
    requests, bad = np.nansum(stream.n[:steps]), np.nansum(stream.x[:steps])
    return 30.0 if requests and bad / requests > LIMIT else inf


Minutes = Sequence[tuple[float, float]]
"""A number of the candidate and of the baseline for every minute; NaN where there was none."""


def flagger(threshold: int) -> Callable[[Stream, float], float]:
    """Flagger's rule on error rates."""
    return lambda stream, interval: flagger_rule(_minutes(stream, interval), threshold, LIMIT)


def argo(failure_limit: int) -> Callable[[Stream, float], float]:
    """Argo Rollouts' rule on error rates."""
    return lambda stream, interval: argo_rule(_minutes(stream, interval), failure_limit, LIMIT)


def kayenta(samples: int) -> Callable[[Stream, float], float]:
    """Kayenta's rule on error rates."""
    return lambda stream, interval: kayenta_rule(_minutes(stream, interval), samples)


def flagger_rule(minutes: Minutes, threshold: int, limit: float) -> float:
    """Every 60 s, `iterations: 10` of a blue/green: as many failed checks as the threshold roll back.

    As its controller has it (pkg/controller/scheduler.go): a failed check does not advance the iteration, nor does one
    without numbers; the threshold is looked at before the checks, so that the rollback comes an interval later; the
    first iteration is given without a check, and two more good checks switch and promote. `threshold` is 1 unless it is
    set; 5 is what its examples have.
    """

    failed = good = 0
    for minute, (number, _) in enumerate(minutes, 1):
        if failed >= threshold:
            return 60.0 * minute
        if number <= limit:
            good += 1
        else:
            failed += 1
        if good >= 11:
            break
    return inf


def argo_rule(minutes: Minutes, failure_limit: int, limit: float) -> float:
    """Every 60 s, five times, with `initialDelay: 60s`: more than `failure_limit` failed measurements roll back.

    Without the delay the first measurement comes at once. A minute without requests is no number, and
    `result[0] <= 0.05` is then not true.
    """

    failed = 0
    for minute, (number, _) in enumerate(minutes[:5], 1):
        failed += not number <= limit
        if failed > failure_limit:
            return 60.0 * minute
    return inf


def kayenta_rule(minutes: Minutes, samples: int) -> float:
    """Mann-Whitney at 98 % over one-minute numbers; high when the shift exceeds a quarter of its estimate."""
    both = np.array(minutes[:samples])
    both = both[~np.isnan(both).any(axis=1)]
    if len(both) < 3:
        return inf
    low, estimate = shift(both[:, 0], both[:, 1], 2.326), shift(both[:, 0], both[:, 1], 0.0)
    return 60.0 * samples if low > 0.25 * abs(estimate) else inf


def shift(x: Array, y: Array, quantile: float) -> float:
    """Return by how much x lies above y at least, at a quantile of the normal distribution; 0 gives the estimate.

    As R's wilcox.test has it, and Kayenta's judge after it: the rank sum of x less the shift, with the variance that
    ties leave and a continuity correction of a half, is solved for the shift.
    """
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    if _rank_score(x, y, low) <= quantile:
        return low
    if _rank_score(x, y, high) >= quantile:
        return high
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if _rank_score(x, y, middle) > quantile else (low, middle)
    return (low + high) / 2


def _rank_score(x: Array, y: Array, shift: float) -> float:
    moved, count = x - shift, len(x) + len(y)
    above = float((moved[:, None] > y).sum() + 0.5 * (moved[:, None] == y).sum())
    beyond = above - len(x) * len(y) / 2
    _, ties = np.unique(np.concatenate((moved, y)), return_counts=True)
    spread = len(x) * len(y) / 12 * (count + 1 - float((ties**3 - ties).sum()) / (count * (count - 1)))
    return (beyond - 0.5 * np.sign(beyond)) / sqrt(spread) if spread > 0 else 0.0


def plain_e_process(stream: Stream, interval: float) -> float:
    """The same bets as the judge's, for independent requests. No bursts, cap, initial delay or shared incidents."""
    n, x, m, y = _complete(stream)
    gain = _FRACTIONS[:, None] * m / (TOLERATED * n)
    against_baseline = np.cumsum(x * np.log1p(gain) + y * np.log1p(-_FRACTIONS[:, None]), axis=1)
    times = _TIMES[:, None]
    against_limit = np.cumsum(x * np.log(times) + (n - x) * np.log((1 - times * LIMIT) / (1 - LIMIT)), axis=1)
    log_e = np.logaddexp(_log_mean(against_baseline), _log_mean(against_limit)) - log(2)
    return _first(log_e >= log(100), interval)


def oracle(ratio: float, onset: float) -> Callable[[Stream, float], float]:
    """The sequential test that knows the true ratio and when it began, and learns the base rate from the baseline."""

    def rule(stream: Stream, interval: float) -> float:
        n, x, m, y = _complete(stream)
        null, true = TOLERATED * n / (TOLERATED * n + m), ratio * n / (ratio * n + m)
        steps = x * np.log(true / null) + y * np.log((1 - true) / (1 - null))
        steps[: round(max(onset, INITIAL_DELAY) / interval)] = 0.0
        return _first(np.cumsum(steps) >= log(100), interval)

    return rule


def knowing_oracle(rate: float, base: float, onset: float) -> Callable[[Stream, float], float]:
    """The sequential test that knows the base rate as well, so that it needs no baseline."""

    def rule(stream: Stream, interval: float) -> float:
        n, x, _, _ = _complete(stream)
        null = min(TOLERATED * base, 0.99)
        true = min(rate, 0.999999)
        steps = x * np.log(true / null) + (n - x) * np.log((1 - true) / (1 - null))
        steps[: round(max(onset, INITIAL_DELAY) / interval)] = 0.0
        return _first(np.cumsum(steps) >= log(100), interval)

    return rule


RULES: dict[str, Callable[[Stream, float], float]] = {
    "one look": one_look,
    "Flagger 5": flagger(5),
    "Flagger 1": flagger(1),
    "Argo 0": argo(0),
    "Argo 1": argo(1),
    "Kayenta 10": kayenta(10),
    "Kayenta 30": kayenta(30),
    "plain e": plain_e_process,
}


def _minutes(stream: Stream, interval: float) -> list[tuple[float, float]]:
    """Error rates of candidate and baseline for every minute; NaN without requests."""
    steps = round(60 / interval)
    whole = stream.n.size // steps * steps
    n, x, m, y = (
        np.nansum(part[:whole].reshape(-1, steps), axis=1) for part in (stream.n, stream.x, stream.m, stream.y)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = (np.where(requests > 0, bad / requests, np.nan) for requests, bad in ((n, x), (m, y)))
        return list(zip(*(part.tolist() for part in rates), strict=True))


def _complete(stream: Stream) -> tuple[Array, Array, Array, Array]:
    """The counts with empty intervals made harmless."""
    n, x, m, y = (np.nan_to_num(part) for part in (stream.n, stream.x, stream.m, stream.y))
    usable = (n > 0) & (m > 0)
    return np.where(usable, n, 1e-9), np.where(usable, x, 0.0), np.where(usable, m, 1e-9), np.where(usable, y, 0.0)


def _log_mean(rows: Array) -> Array:
    top = rows.max(axis=0)
    return np.asarray(top + np.log(np.exp(rows - top).mean(axis=0)))


def _first(reached: np.ndarray, interval: float) -> float:
    place = int(np.argmax(reached))
    return (place + 1) * interval if reached[place] else inf
