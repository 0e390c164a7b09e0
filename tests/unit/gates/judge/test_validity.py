"""The heart of the promise, proven numerically: no e-value expects more than 1 under its null.

Exact sums over beta-binomial counts on a grid of rates, correlations, sizes and bets. The largest logarithms seen are
rounding; a wrong formula shows at once (dividing counts by the design effect instead reaches 151).
"""

from collections.abc import Callable
from itertools import product
from math import log, log1p

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, xlog1py, xlogy  # scipy.stats takes seconds to import

from healthd_gates.judge.evalues import harm_above, harm_rate, harm_ratio, safe_below, safe_ratio
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.joint_cap import UNCAPPED, Caps
from healthd_gates.judge.processes import BaselineHarm, BaselineSafety, Catastrophe, LimitHarm, LimitSafety
from healthd_gates.judge.rate_tests import RateHarm
from healthd_gates.judge.value import SignBet

pytestmark = pytest.mark.proof

ROUNDING = 1e-9
RATES = (0.0005, 0.01, 0.05, 0.5)
CORRELATIONS = (0.0005, 0.005, 0.05, 0.3)
SIZES = (1, 2, 5, 50, 500)


def log_counts(size: int, rate: float, correlation: float) -> NDArray[np.float64]:
    """ln P(count) of a beta-binomial; a binomial without correlation."""
    x = np.arange(size + 1)
    choose = gammaln(size + 1) - gammaln(x + 1) - gammaln(size - x + 1)
    if correlation == 0:
        return np.asarray(choose + xlogy(x, rate) + xlog1py(size - x, -rate))
    a, b = rate * (1 / correlation - 1), (1 - rate) * (1 / correlation - 1)
    beta = gammaln(x + a) + gammaln(size - x + b) - gammaln(size + a + b)
    return np.asarray(choose + beta - gammaln(a) - gammaln(b) + gammaln(a + b))


def odds(correlation: float) -> float:
    """(1 − ρ)/ρ."""
    return (1 - correlation) / correlation


@pytest.mark.parametrize(
    ("e_value", "bets"),
    [
        (harm_above, (1e-3, 0.01, 0.1, 0.3, 0.6, 0.9, 0.999)),
        (safe_below, (-0.01, -0.2, -0.5, -0.8, -0.95)),
    ],
)
def test_one_sample(e_value: Callable[..., float], bets: tuple[float, ...]) -> None:
    """At the limit itself, with any correlation up to the assumed one, E expects at most 1."""
    worst = -np.inf
    for rate, assumed, true, size in product(RATES, CORRELATIONS, (1.0, 0.3, 0.0), SIZES):
        weights = log_counts(size, rate, assumed * true)
        for bet in bets:
            times = 1 + bet * (1 / rate - 1) if bet > 0 else 1 + bet
            log_es = [e_value(x, size, rate, times, odds(assumed)) for x in range(size + 1)]
            worst = max(worst, logsumexp(weights + log_es))
    assert worst <= ROUNDING


@pytest.mark.parametrize("e_value", [harm_ratio, safe_ratio])
def test_two_samples(e_value: Callable[..., float]) -> None:
    """At the tolerated ratio itself, whatever the baseline's rate and the traffic's share, E expects at most 1."""
    worst = -np.inf
    sizes = ((1, 1), (5, 5), (50, 50), (50, 450), (450, 50))
    for base, ratio, assumed, true, (n, m), fraction in product(
        (0.001, 0.01, 0.2), (1.0, 1.25, 2.0), (0.001, 0.02, 0.2), (1.0, 0.0), sizes, (0.02, 0.3, 0.9)
    ):
        candidate = log_counts(n, ratio * base, assumed * true)
        baseline = log_counts(m, base, assumed * true)
        # The logarithm is a sum of one term an arm, so that the double sum factorises.
        own = [e_value(x, n, 0, m, ratio, fraction, odds(assumed)) for x in range(n + 1)]
        other = [e_value(0, n, y, m, ratio, fraction, odds(assumed)) for y in range(m + 1)]
        worst = max(worst, logsumexp(candidate + own) + logsumexp(baseline + other))
    assert worst <= ROUNDING


def test_design_effect_is_not_valid() -> None:
    """The check can fail: dividing the counts by the design effect breaks the bound by far."""
    weights, x = log_counts(500, 0.001, 0.05), np.arange(501)
    log_es = (x * np.log(0.2 / 0.001) + (500 - x) * log1p(-0.199 / 0.999)) / (1 + 499 * 0.05)
    assert logsumexp(weights + log_es) > 1


def test_the_law_is_an_assumption_beside_its_correlation() -> None:
    """Two rates, the higher one rare, have the mean and the correlation of a beta-binomial and not its tail: E is far
    above 1. What one report may say bounds what that costs, here to a fortieth of a nat each.
    """
    limit, share = 0.05, log(100) / 3
    free, capped = [], []
    for size, correlation, high in product((50, 250, 2500), (0.001, 0.01, 0.05), (0.1, 0.2, 0.5, 1.0)):
        excess = high - limit
        low = limit - correlation * limit * (1 - limit) / excess
        if low < 0:
            continue
        often = (limit - low) / (high - low)
        counts = np.logaddexp(
            log1p(-often) + log_counts(size, low, 0.0), log(often) + log_counts(size, min(high, 1 - 1e-12), 0.0)
        )
        for times in (1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 0.999 / limit):
            log_es = np.array([harm_above(x, size, limit, times, odds(correlation)) for x in range(size + 1)])
            free.append(logsumexp(counts + log_es))
            capped.append(logsumexp(counts + np.minimum(share, log_es)))
    assert max(free) == pytest.approx(688, abs=1)
    assert 0.0 < max(capped) < 0.025


@pytest.mark.parametrize(
    ("fresh", "limit"),
    [
        (lambda: LimitHarm(0.05, 10), 0.05),
        (lambda: LimitSafety(0.05), 0.05),
        (lambda: LimitSafety(0.05, 0.01), 0.05),
        (lambda: LimitSafety(0.05, 0.0), 0.05),
        (lambda: Catastrophe(0.05, 10), 0.5),
        (lambda: Catastrophe(0.8, 10), 0.9),
    ],
)
def test_one_sample_processes(fresh: Callable[[], LimitHarm | LimitSafety | Catastrophe], limit: float) -> None:
    """The mixtures as they stand in the judge expect at most 1 after an interval, at the edge of their null."""
    size, correlation = 60, 0.02
    values = []
    for bad in range(size + 1):
        process = fresh()
        process.step(bad, size, odds(correlation))
        values.append(process.log_e)
    assert logsumexp(log_counts(size, limit, correlation) + values) <= ROUNDING


@pytest.mark.parametrize(("calm", "caps"), [(0, UNCAPPED), (600, Caps(1.5, 1, 5)), (0, Caps(0.9, 2, 3))])
def test_baseline_process(calm: int, caps: Caps) -> None:
    """The mixture over ratios expects at most 1 after two intervals with different rates and traffic shares, also where
    the candidate was calm while it settled, so that reports of trouble that began late say less, and where what the
    first report says leaves the second less room.
    """
    correlation, sizes, rates = 0.02, ((6, 12), (9, 3)), (0.05, 0.2)
    arms = [
        (log_counts(n, 1.25 * rate, correlation), log_counts(m, rate, correlation))
        for (n, m), rate in zip(sizes, rates, strict=True)
    ]
    terms = []
    for x1, y1, x2, y2 in product(*(range(size + 1) for pair in sizes for size in pair)):
        process = BaselineHarm(1.25, horizon=2)
        if calm:
            process.settle((calm, 0, calm, 0), odds(correlation))
        process.step((sizes[0][0], x1, sizes[0][1], y1), odds(correlation), caps)
        process.step((sizes[1][0], x2, sizes[1][1], y2), odds(correlation), caps)
        terms.append(arms[0][0][x1] + arms[0][1][y1] + arms[1][0][x2] + arms[1][1][y2] + process.log_e)
    assert logsumexp(terms) <= ROUNDING


@pytest.mark.parametrize("sizes", [((6, 12), (9, 3)), ((2, 2), (12, 12))])
def test_baseline_safety_process(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """The stakes that follow the traffic are known before the errors are, and expect at most 1 at the harmful ratio."""
    correlation, rates = 0.05, (0.05, 0.2)
    arms = [
        (log_counts(n, 2 * rate, correlation), log_counts(m, rate, correlation))
        for (n, m), rate in zip(sizes, rates, strict=True)
    ]
    terms = []
    for x1, y1, x2, y2 in product(*(range(size + 1) for pair in sizes for size in pair)):
        process = BaselineSafety(2.0)
        process.step((sizes[0][0], x1, sizes[0][1], y1), odds(correlation))
        process.step((sizes[1][0], x2, sizes[1][1], y2), odds(correlation))
        terms.append(arms[0][0][x1] + arms[0][1][y1] + arms[1][0][x2] + arms[1][1][y2] + process.log_e)
    assert logsumexp(terms) <= ROUNDING


def test_interval_covers() -> None:
    """The anytime interval misses the true rate at any of 100 looks in fewer runs than its risk allows."""
    random, missed = np.random.default_rng(5), 0
    for _ in range(150):
        interval = RateInterval()
        for rate in random.beta(0.02 * 99, 0.98 * 99, size=100):
            interval.step(float(random.binomial(50, rate)), 50.0, 99.0)
            if interval.side(0.02, 0.1):
                missed += 1
                break
    assert missed <= 15


def log_events(mean: float, spread: float, most: int = 400) -> NDArray[np.float64]:
    """ln P(events) of a negative binomial with variance mean · (1 + spread); Poisson without a spread."""
    x = np.arange(most + 1)
    if spread == 0:
        return np.asarray(xlogy(x, mean) - gammaln(x + 1) - mean)
    size, share = mean / spread, 1 / (1 + spread)
    ways = gammaln(x + size) - gammaln(x + 1) - gammaln(size)
    return np.asarray(ways + xlogy(size, share) + xlog1py(x, -share))


@pytest.mark.parametrize("assumed", [0.01, 0.5, 4.0])
def test_a_rate(assumed: float) -> None:
    """At the limit and below it, with any spread up to the assumed one, E expects at most 1, whatever the exposure."""
    worst = -np.inf
    for limit, exposure, part, below, times in product(
        (0.01, 0.5, 3.0), (1.0, 7.0), (1.0, 0.3, 0.0), (1.0, 0.6), (1.5, 2.0, 4.0, 8.0)
    ):
        mean = limit * exposure
        weights = log_events(below * mean, part * assumed * exposure)
        log_es = [harm_rate(x, exposure, limit, times, 1 / assumed) for x in range(len(weights))]
        worst = max(worst, logsumexp(weights + log_es))
    assert worst <= ROUNDING


def test_two_rates() -> None:
    """At the tolerated ratio, whatever the baseline's rate and both exposures, E expects at most 1: more events than
    units of exposure too."""
    worst = -np.inf
    for base, ratio, spread, part, (n, m), fraction in product(
        (0.02, 1.0, 4.0), (1.0, 1.5), (0.01, 0.6), (1.0, 0.0), ((1.0, 1.0), (2.0, 9.0), (9.0, 2.0)), (0.02, 0.3, 0.9)
    ):
        candidate = log_events(ratio * base * n, part * spread * n)
        baseline = log_events(base * m, part * spread * m)
        own = [harm_ratio(x, n, 0, m, ratio, fraction, 1 / spread) for x in range(len(candidate))]
        other = [harm_ratio(0, n, y, m, ratio, fraction, 1 / spread) for y in range(len(baseline))]
        worst = max(worst, logsumexp(candidate + own) + logsumexp(baseline + other))
    assert worst <= ROUNDING


def test_rate_process() -> None:
    """The mixture as it stands in the judge expects at most 1 after two intervals at the limit."""
    terms = []
    weights = [log_events(0.8, 0.5, 40), log_events(2.4, 1.5, 40)]
    for first, second in product(range(41), repeat=2):
        process = RateHarm(0.8, horizon=2)
        process.step(first, 1.0, 2.0)
        process.step(second, 3.0, 2.0)
        terms.append(weights[0][first] + weights[1][second] + process.log_e)
    assert logsumexp(terms) <= ROUNDING


@pytest.mark.parametrize("chance", [0.5, 0.3])
def test_sign_bet(chance: float) -> None:
    """Worse in at most half of the comparisons, the bet expects at most 1; a chance that hangs on the past too."""
    terms = []
    for course in product((True, False), repeat=8):
        process, weight = SignBet(horizon=8), 1.0
        for place, worse in enumerate(course):
            process.step(worse=worse, cap=np.inf)
            now = chance if place == 0 or course[place - 1] else 0.5 * chance
            weight *= now if worse else 1 - now
        terms.append(np.log(weight) + process.log_e)
    assert logsumexp(terms) <= ROUNDING
