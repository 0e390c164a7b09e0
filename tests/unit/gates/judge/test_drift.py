"""How far a value drifts by itself is learnt from the baseline's past."""

import pytest

from healthd_gates.domain.evidence import Counts, Values
from healthd_gates.judge.drift import drift_of


def past(*values: float, every: float = 60.0) -> list[tuple[Values, float]]:
    return [(Values((value,)), every) for value in values]


def test_the_drift_is_between_the_highest_and_the_lowest_five_minutes() -> None:
    """And what is no value says nothing."""
    drift = drift_of([*past(*[100.0] * 40), (Counts(5, 0), 60.0), *past(*[150.0] * 40)])
    assert drift is not None
    assert (drift.difference, drift.ratio) == pytest.approx((50.0, 1.5))


def test_less_than_an_hour_shows_no_drift() -> None:
    assert drift_of(past(*[100.0] * 59)) is None
    assert drift_of([(Counts(5, 0), 60.0)] * 100) is None


def test_a_value_that_is_nothing_at_times_drifts_by_no_ratio() -> None:
    drift = drift_of(past(*[0.0] * 40, *[5.0] * 40))
    assert drift is not None
    assert (drift.difference, drift.ratio) == pytest.approx((5.0, 1.0))
