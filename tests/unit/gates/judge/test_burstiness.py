"""The estimates of burstiness see what is there, and do not see what is not."""

import numpy as np
import pytest

from healthd_gates.judge.burstiness import BakeBurstiness, Burstiness, HistoryBurstiness, StepProofBurstiness

Estimate = HistoryBurstiness | BakeBurstiness | StepProofBurstiness


def fed(estimate: Estimate, correlation: float, intervals: int = 400, size: int = 500, rate: float = 0.02) -> float:
    """The estimate after so many intervals of beta-binomial counts."""
    random = np.random.default_rng(11)
    for _ in range(intervals):
        p = random.beta(rate * (1 / correlation - 1), (1 - rate) * (1 / correlation - 1)) if correlation else rate
        estimate.add(size, float(random.binomial(size, p)))
    return estimate.correlation


@pytest.mark.parametrize("kind", [HistoryBurstiness, BakeBurstiness, StepProofBurstiness])
def test_bursts_are_seen(kind: type[Estimate]) -> None:
    """A correlation of 5 % is not underestimated by much."""
    assert 0.035 <= fed(kind(), 0.05) <= 0.3


@pytest.mark.parametrize("kind", [HistoryBurstiness, BakeBurstiness, StepProofBurstiness])
def test_quiet_traffic_stays_quiet(kind: type[Estimate]) -> None:
    """Independent requests lead to next to no correlation."""
    assert fed(kind(), 0.0) < 0.001


def test_slow_drift_counts_as_burst() -> None:
    """A rate that wanders over minutes raises the history's estimate although single intervals look quiet."""
    random, level, drifting = np.random.default_rng(3), 0.0, HistoryBurstiness()
    for _ in range(1000):
        level = 0.95 * level + random.normal(0, 0.15)
        drifting.add(500, float(random.binomial(500, 0.01 * np.exp(level))))
    assert drifting.correlation > 0.01


def test_a_step_is_not_a_burst() -> None:
    """A late regression, once, does not raise the candidate's own estimate."""
    random, candidate = np.random.default_rng(4), StepProofBurstiness()
    for place in range(30):
        candidate.add(500, float(random.binomial(500, 0.01 if place < 25 else 0.1)))
    assert candidate.correlation < 0.01


def test_the_largest_estimate_wins() -> None:
    """Bursts during the bake are believed at once, however quiet the past was."""
    burstiness = Burstiness([(500.0, 5.0)] * 300)
    before = burstiness.correlation
    for bad in (0.0, 60.0, 0.0, 0.0, 45.0):
        burstiness.add_baseline(500.0, bad)
    assert burstiness.correlation > 20 * before


def test_the_candidate_stands_in_for_a_missing_baseline() -> None:
    """Without any baseline the prior gives way to the candidate's own quiet intervals."""
    burstiness = Burstiness()
    before = burstiness.correlation
    for _ in range(100):
        burstiness.add_candidate(500.0, 5.0)
    assert burstiness.correlation < before / 5
