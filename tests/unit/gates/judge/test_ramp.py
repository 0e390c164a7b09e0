"""Widening by evidence: never wider than the budget allows, never narrower, and a bound that holds at every look."""

from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from healthd_gates.domain.evidence import Evidence
from healthd_gates.judge.arms import errors
from healthd_gates.judge.evalues import safe_below
from healthd_gates.judge.ramp import GRAIN, Allowance, Pace, Ramp, next_weight, usual_budget
from healthd_gates.judge.risk import Timing
from tests.unit.gates.judge.evidence import interval
from tests.unit.gates.judge.test_validity import ROUNDING, log_counts, odds

TIMING = Timing(interval=5.0, initial_delay=0.0, minimum=30.0, maximum=600.0)
RISK = 0.05
QUICK = settings(max_examples=100)
fractions = st.floats(0, 1)
allowances = st.builds(Allowance, fractions, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 600))
paces = st.one_of(
    st.builds(Pace, st.floats(1.01, 100)),
    st.lists(fractions.filter(bool), min_size=1, max_size=6, unique=True).map(lambda s: Pace(steps=tuple(sorted(s)))),
)


def look(n: float, x: float, m: float = 1000, y: float = 0) -> Evidence:
    return interval((n, x), (m, y), seconds=5.0)


def after(*looks: Evidence) -> Ramp:
    ramp = Ramp([errors], TIMING, RISK)
    for each in looks:
        ramp.take(each)
    return ramp


@QUICK
@given(allowances, st.floats(0, 1e6), fractions, paces)
def test_a_wider_weight_keeps_the_budget(found: Allowance, budget: float, last: float, pace: Pace) -> None:
    """If it widens, what may fail until the way back is within the budget; and it never narrows."""
    weight = next_weight(last, found.weight(budget), pace)
    assert last <= weight <= 1.0
    if weight > last:
        at_worst = found.spent + weight * found.traffic * found.excess * found.reaction
        assert at_worst <= budget * (1 + 1e-9) + 1e-9


@QUICK
@given(fractions, st.floats(GRAIN, 1), st.floats(1.01, 100))
def test_no_step_is_larger_than_the_largest(allowed: float, last: float, factor: float) -> None:
    assert next_weight(last, allowed, Pace(factor)) <= max(last, factor * last + 1e-9)


@QUICK
@given(fractions, st.floats(0, 1), fractions, paces)
def test_more_room_is_never_a_narrower_weight(allowed: float, more: float, last: float, pace: Pace) -> None:
    narrow = next_weight(last, allowed, pace)
    assert next_weight(last, min(1.0, allowed + more), pace) >= narrow


@QUICK
@given(st.integers(1, 400), st.integers(0, 50), st.integers(0, 50))
def test_worse_evidence_allows_less(n: int, x: int, more: int) -> None:
    x, worse = min(x, n), min(x + more, n)
    first, second = (after(look(n, bad)).allowance(5.0) for bad in (x, worse))
    assert second.excess >= first.excess - 1e-6
    assert second.spent >= first.spent - 1e-9


def test_before_any_evidence_everything_may_be_bad() -> None:
    """At 100 requests/s, 30 s and a budget of 50 the first step is 1.7 %."""
    found = Allowance(excess=1.0, spent=0.0, traffic=100.0, reaction=30.0)
    assert next_weight(0.0, found.weight(50), Pace()) == pytest.approx(0.0166)
    assert Ramp([errors], TIMING, RISK).allowance(5.0).excess == 1.0


def test_low_traffic_is_compared_at_half_and_then_has_everything() -> None:
    found = Allowance(excess=1.0, spent=0.0, traffic=0.5, reaction=30.0)
    assert next_weight(0.0, found.weight(50), Pace()) == 0.5
    assert next_weight(0.5, found.weight(50), Pace()) == 1.0


def test_no_traffic_and_a_spent_budget_allow_nothing() -> None:
    assert Allowance(1.0, 0.0, 0.0, 30.0).weight(50) == 0.0
    assert Allowance(0.0, 50.0, 100.0, 30.0).weight(50) == 0.0


def test_fixed_steps_wait_for_the_evidence() -> None:
    pace = Pace(steps=(0.01, 0.05, 0.25))
    assert [next_weight(0.0, allowed, pace) for allowed in (0.009, 0.01, 1.0)] == [0.0, 0.01, 0.01]
    assert next_weight(0.25, 0.99, pace) == 0.25
    assert next_weight(0.25, 1.0, pace) == 1.0


def test_a_few_clean_looks_open_the_way() -> None:
    narrow, wide = (after(*[look(20, 0)] * count).allowance(5.0) for count in (1, 12))
    assert narrow.excess > 0.2 > 0.1 > wide.excess
    assert wide.spent == 0.0


def test_shared_trouble_is_taken_off() -> None:
    """Both arms fail alike: nothing is spent, and the bound is far below the rate itself."""
    found = after(*[look(1000, 200, 1000, 200)] * 20).allowance(5.0)
    assert found.spent == 0.0
    assert found.excess < 0.1


def test_shared_trouble_at_little_traffic_hides_no_harm_later() -> None:
    """The baseline's incident fell on looks in which the candidate had 1 % of the requests."""
    incident, harm = [look(10, 3, 990, 297)] * 10, [look(500, 50, 500, 5)] * 10
    found = after(*incident, *harm).allowance(5.0)
    assert found.excess > 0.08
    assert found.spent > 350


def test_one_late_arm_is_compared_over_the_same_time() -> None:
    late = interval(None, (1000, 0), seconds=5.0)
    assert after(late, look(20, 0)).allowance(5.0).traffic == pytest.approx((2020 + 2 * 2020**0.5) / 10)


def test_the_reaction_covers_the_reports_the_action_and_the_settling() -> None:
    settling = Ramp([errors], Timing(5.0, 30.0, 30.0, 600.0), RISK)
    settling.take(look(20, 0))
    assert after(look(20, 0)).allowance(7.0).reaction == 5 + 4 * 5 + 7
    assert settling.allowance(7.0).reaction == 5 + 4 * 5 + 7 + 25


def test_the_traffic_is_the_most_of_some_minutes() -> None:
    """Traffic that triples is believed within a window, and remembered for five minutes."""
    quiet, busy = [look(0, 0, 500)] * 12, [look(0, 0, 1500)] * 3
    assert after(*quiet).traffic == pytest.approx(100, rel=0.06)
    assert after(*quiet, *busy, *quiet).traffic == pytest.approx(300, rel=0.06)
    assert after(*quiet, *busy, *quiet * 6).traffic == pytest.approx(100, rel=0.06)
    assert usual_budget(100) == 60


def test_the_usual_budget_is_one_that_can_be_kept() -> None:
    """At half a request a second a minute's worth of 1 % would be a third of a request, and no release ever wide."""
    assert usual_budget(0.5) == 20
    first = next_weight(0.0, Allowance(1.0, 0.0, 0.5, 35.0).weight(usual_budget(0.5)), Pace())
    assert first == 0.5


def test_scaled_counts_keep_e_values_valid() -> None:
    """E of k·y/m bad ones of k requests expects at most 1, for any correlation up to the assumed one."""
    worst = -inf
    for rate, assumed, true, size in product((0.01, 0.2), (0.0005, 0.05, 0.3), (1.0, 0.0), (2, 50, 500)):
        weights = log_counts(size, rate, assumed * true)
        for kept, times in product((0.02, 0.5), (0.3, 2.0, 4.0)):
            log_es = [safe_below(x * kept, size * kept, rate, times, odds(assumed)) for x in range(size + 1)]
            worst = max(worst, float(logsumexp(weights + np.array(log_es))))
    assert worst <= ROUNDING


def test_the_bound_holds_at_all_looks_at_once() -> None:
    """In 30 rollouts of 40 looks the bound is below the true excess in no more than the stated share."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(30):
        ramp = Ramp([errors], TIMING, RISK)
        broken = False
        for place in range(40):
            n = int(rng.poisson(20 + 10 * place))
            ramp.take(look(n, int(rng.binomial(n, 0.06)), 500, int(rng.binomial(500, 0.02))))
            broken = broken or (place % 3 == 0 and ramp.allowance(5.0).excess < 0.04)
        wrong += broken
    assert wrong / 30 <= RISK
