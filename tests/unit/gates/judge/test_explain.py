"""Counts in sentences."""

import pytest

from healthd_gates.judge.explain import failed


@pytest.mark.parametrize(
    ("bad", "requests", "said"),
    [
        (0.5, 2.5, "0.5 of 2.5 requests"),
        (0, 1, "0 of 1 request"),
        (0.04, 1.2, "0.04 of 1.2 requests"),
        (9.97, 2000.4, "10 of 2,000 requests"),
        (3.0000001, 12.5, "3 of 12 requests"),
    ],
)
def test_fractions_are_shown_where_they_tell(bad: float, requests: float, said: str) -> None:
    """Pushed, sampled and extrapolated counts are fractions."""
    assert failed(bad, requests, "request") == said
