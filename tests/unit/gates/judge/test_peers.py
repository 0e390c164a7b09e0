"""The rules of other tools that the judge is measured beside decide as their originals do."""

from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest

from bench.detection.peers import _minutes, argo, flagger, kayenta, shift
from bench.detection.streams import INTERVAL, Scenario, Stream, simulate

GOOD, BAD = 0.0, 0.2
Rule = Callable[[Stream, float], float]


def minutes(*rates: float) -> Stream:
    """A candidate with these error rates, one a minute, of a thousand requests; NaN is a minute without any."""
    n = np.array([0.0 if np.isnan(rate) else 1000.0 for rate in rates])
    x = np.array([0.0 if np.isnan(rate) else 1000.0 * rate for rate in rates])
    calm = np.full(len(rates), 1000.0)
    none = np.zeros((len(rates), 1))
    return Stream(n, x, calm, np.zeros(len(rates)), (calm, calm), lambda: (none, none, none))


@pytest.mark.parametrize(
    ("rule", "rates", "seconds"),
    [
        (flagger(5), [BAD] * 30, 360),  # the minute after the fifth failed check
        (flagger(1), [BAD] * 30, 120),
        (flagger(1), [nan] * 30, 120),  # no values found
        (flagger(5), [GOOD] * 4 + [BAD] * 3 + [GOOD] * 4 + [BAD] * 19, 840),  # a failed check uses up no iteration
        (flagger(1), [GOOD] * 10 + [BAD] * 20, 720),
        (flagger(1), [GOOD] * 11 + [BAD] * 19, inf),
        (argo(0), [GOOD, BAD, GOOD, GOOD, GOOD], 120),
        (argo(1), [GOOD, BAD, GOOD, GOOD, GOOD], inf),
        (argo(0), [nan, GOOD, GOOD, GOOD, GOOD], 60),  # NaN <= 0.05 is not true
        (argo(0), [GOOD] * 5 + [BAD], inf),
    ],
)
def test_when_a_tool_rolls_back(rule: Rule, rates: list[float], seconds: float) -> None:
    """In seconds after the switch; never is infinite."""
    assert rule(minutes(*rates), 60.0) == seconds


def test_equal_rates_leave_less_chance() -> None:
    """Eight of ten minutes at 5 % beside ten without an error are high; without regard to ties they would not be."""
    mixed = [0.05] * 8 + [0.0] * 2
    assert kayenta(10)(minutes(*mixed), 60.0) == 600
    assert kayenta(10)(minutes(*([0.05] * 3 + [0.0] * 7)), 60.0) == inf


def test_a_shift_is_found_where_it_is() -> None:
    """Between the two arms, and the lower bound below it."""
    y = np.array([0.3, 0.1, 0.8, 0.5, 0.4, 0.9, 0.2, 0.7, 0.6, 0.05])
    x = y + 2
    assert shift(x, y, 0.0) == pytest.approx(2, abs=0.06)
    assert 1.4 < shift(x, y, 2.326) < shift(x, y, 1.0) < 2
    assert shift(x + 1, y, 2.326) == pytest.approx(shift(x, y, 2.326) + 1, abs=1e-6)


def test_a_candidate_that_died_has_no_rate() -> None:
    """Its minutes without requests have none, whatever errors were counted: by an infinite one a shift is sought for
    ever."""
    stream = simulate(Scenario("", dies=60.0), 50.0, 0.01, np.random.default_rng(3))
    own = np.array(_minutes(stream, INTERVAL))[:, 0]
    assert np.isnan(own).tolist() == [False] + [True] * 29
    assert [kayenta(samples)(stream, INTERVAL) for samples in (10, 30)] == [inf, inf]
