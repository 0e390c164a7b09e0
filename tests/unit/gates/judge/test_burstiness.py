"""The estimates of burstiness see what is there, and do not see what is not."""

import numpy as np
import pytest

from healthd_gates.judge.burstiness import BakeBurstiness, Burstiness, HistoryBurstiness, StepProofBurstiness
from healthd_gates.judge.past import without_incident

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


def test_bursts_longer_than_an_evaluation_count_in_full() -> None:
    """Bursts of ten seconds weigh on every second of them: evaluated each second they count ten times."""
    random, short, long = np.random.default_rng(6), Burstiness(look=1.0), Burstiness(look=10.0)
    for _ in range(60):
        p = random.beta(0.01 * 19, 0.99 * 19)
        counts = random.binomial(50, p, 10).astype(float)
        for bad in counts:
            short.learn(None, (50.0, float(bad)), 1.0, settling=False)
        long.learn(None, (500.0, float(counts.sum())), 10.0, settling=False)
    assert long.correlation < 0.15
    assert short.correlation > 0.28  # no higher is believed


def test_quiet_evaluations_of_a_second_stay_quiet() -> None:
    """Joined to ten seconds independent requests show no correlation either."""
    random, short = np.random.default_rng(8), Burstiness([(500.0, 5.0, 10.0)] * 600, look=1.0)
    for _ in range(600):
        short.learn(
            (50.0, float(random.binomial(50, 0.01))), (50.0, float(random.binomial(50, 0.01))), 1.0, settling=False
        )
    assert short.correlation < 0.01


def test_a_step_is_not_a_burst() -> None:
    """A late regression, once, does not raise the candidate's own estimate."""
    random, candidate = np.random.default_rng(4), StepProofBurstiness()
    for place in range(30):
        candidate.add(500, float(random.binomial(500, 0.01 if place < 25 else 0.1)))
    assert candidate.correlation < 0.01


def test_the_largest_estimate_wins() -> None:
    """Bursts during the bake are believed at once, however quiet the past was."""
    burstiness = Burstiness([(500.0, 5.0, 10.0)] * 300)
    before = burstiness.correlation
    for bad in (0.0, 60.0, 0.0, 0.0, 45.0):
        burstiness.learn(None, (500.0, bad), 10.0, settling=False)
    assert burstiness.correlation > 20 * before


def test_the_candidate_stands_in_for_a_missing_baseline() -> None:
    """Without any baseline the prior gives way to the candidate's own quiet intervals."""
    burstiness = Burstiness()
    before = burstiness.correlation
    for _ in range(100):
        burstiness.learn((500.0, 5.0), None, 10.0, settling=False)
    assert burstiness.correlation < before / 5


QUIET = [(500.0, 5.0, 30.0)] * 360


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_one_incident_in_the_past_does_not_blind(rate: float) -> None:
    """Five minutes of trouble in three hours are left out, and are not what the baseline is held to either."""
    past = [*QUIET[:200], *[(500.0, 500 * rate, 30.0)] * 10, *QUIET[:150]]
    assert len(without_incident(past)) < len(past)
    assert Burstiness(past).correlation < 1.5 * Burstiness(QUIET).correlation


def test_bursts_that_come_again_and_again_are_kept() -> None:
    """Spells of two minutes every quarter of an hour are how the service is."""
    spell = [*[(500.0, 30.0, 30.0)] * 4, *QUIET[:26]]
    assert without_incident(spell * 12) == spell * 12
    assert Burstiness(spell * 12).correlation > 10 * Burstiness(QUIET).correlation


def test_trouble_that_both_arms_share_is_no_burst() -> None:
    """A minute of errors in both arms teaches nothing; in one of them it does."""
    shared, alone = Burstiness(QUIET), Burstiness(QUIET)
    for _ in range(20):
        for each in (shared, alone):
            each.learn((500.0, 5.0), (500.0, 5.0), 10.0, settling=False)
    for _ in range(6):
        shared.learn((500.0, 100.0), (500.0, 100.0), 10.0, settling=False)
        alone.learn((500.0, 5.0), (500.0, 100.0), 10.0, settling=False)
    assert shared.correlation < 0.002
    assert alone.correlation > 0.02


def test_a_past_in_longer_intervals_tells_the_same() -> None:
    """Bursts of 10 s look alike whether the past comes in intervals of a look or of half a minute."""
    random = np.random.default_rng(8)
    fine = [(500.0, float(random.binomial(500, random.beta(0.4, 39.6))), 10.0) for _ in range(1080)]
    coarse = [(1500.0, sum(y for _, y, _ in fine[k : k + 3]), 30.0) for k in range(0, 1080, 3)]
    assert Burstiness(coarse).correlation == pytest.approx(Burstiness(fine).correlation, rel=0.4)
