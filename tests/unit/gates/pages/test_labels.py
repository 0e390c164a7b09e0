"""Strength of evidence in words."""

from math import inf, log

import pytest

from healthd_gates.domain.standing import Unit
from healthd_gates.pages.labels import chance, number, strength


@pytest.mark.parametrize(
    ("e", "word"), [(0.0, "none"), (1.0, "none"), (4.0, "weak"), (15.0, "some"), (60.0, "strong"), (100.0, "proof")]
)
def test_strength(e: float, word: str) -> None:
    """From nothing to a proof, which is what rolls back."""
    assert strength(log(e) if e else -inf, log(100) - 1e-12) == word


def test_chance() -> None:
    """E is the number of healthy releases of which at most one shows as much."""
    assert chance(log(40)) == "A healthy release looks this bad less than once in 40 deploys."
    assert "once in 1,000,000,000 deploys" in chance(800.0)
    assert "just like this" in chance(-inf)


def test_numbers() -> None:
    """As a person would write them; what is unknown or unbounded is said to be."""
    assert [number(v, Unit.RATIO) for v in (None, 0.0123, inf)] == ["–", "1.23 %", "∞"]
    assert [number(v, Unit.SECONDS) for v in (0.25, 3.0)] == ["250 ms", "3 s"]
