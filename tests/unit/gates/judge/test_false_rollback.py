"""A modest simulation of what the risk promises: healthy releases stay. `bench/detection` does it at length."""

import numpy as np
import pytest

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import interval
from tests.unit.gates.judge.rules import BY_ERRORS

pytestmark = pytest.mark.proof

RUNS = 60
WATCH = Rules(BY_ERRORS, timing=Timing(minimum=900, maximum=900))


def counts(random: np.random.Generator, rate: float, correlation: float, mean: float = 250) -> tuple[int, int]:
    """Requests and errors of one interval."""
    requests = int(random.poisson(mean))
    p = random.beta(rate * (1 / correlation - 1), (1 - rate) * (1 / correlation - 1)) if correlation else rate
    return requests, int(random.binomial(requests, p))


def rolled_back(random: np.random.Generator, ratio: float, correlation: float, missing: float) -> bool:
    """Whether a gate over a release with `ratio` times the baseline's errors ends with a fail."""
    history = [interval(baseline=counts(random, 0.01, correlation)) for _ in range(120)]
    judge = Judge(WATCH, history)
    for _ in range(93):
        arms = [
            None if random.random() < missing else counts(random, rate, correlation) for rate in (0.01 * ratio, 0.01)
        ]
        judge.take(interval(*arms))
        if judge.decision[0] is Verdict.FAIL:
            return True
    return False


@pytest.mark.parametrize(
    ("ratio", "correlation", "missing"), [(1.0, 0.0, 0.0), (1.25, 0.0, 0.0), (1.0, 0.05, 0.0), (1.25, 0.01, 0.2)]
)
def test_healthy_releases_stay(ratio: float, correlation: float, missing: float) -> None:
    """At most one of sixty healthy releases is rolled back, with bursts and gaps as without; seeds are fixed."""
    random = np.random.default_rng(20)
    assert sum(rolled_back(random, ratio, correlation, missing) for _ in range(RUNS)) <= 1


def test_harmful_releases_go() -> None:
    """The same judge does roll back: at least 57 of 60 releases with five times the errors."""
    random = np.random.default_rng(21)
    assert sum(rolled_back(random, 5.0, 0.0, 0.0) for _ in range(RUNS)) >= 57


def test_splits_and_gaps_do_not_add_risk() -> None:
    """A healthy stream cut at random into short and long intervals is rolled back no more often."""
    random, failed = np.random.default_rng(22), 0
    for _ in range(RUNS):
        judge = Judge(WATCH, [interval(baseline=counts(random, 0.01, 0.0)) for _ in range(120)])
        elapsed = 0.0
        while elapsed < 930:
            seconds = float(random.choice([1.0, 3.0, 10.0, 45.0]))
            arms = [counts(random, rate, 0.0, 25 * seconds) for rate in (0.0125, 0.01)]
            item: Evidence = interval(*arms, seconds=seconds)
            judge.take(item)
            elapsed += seconds
            if judge.decision[0] is Verdict.FAIL:
                failed += 1
                break
    assert failed <= 1
