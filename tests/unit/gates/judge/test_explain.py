"""Counts in sentences."""

import pytest

from healthd_gates.domain.standing import Bound, Finding
from healthd_gates.judge import explain
from healthd_gates.judge.explain import failed, finding_sentence


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


def test_what_is_proven_and_open_takes_no_more_requests() -> None:
    """It waits for what speaks against it to fade."""
    said = finding_sentence(Finding.OPEN, "error rate", "", "0.1 %", "limit 5 %", 0.0, 0.0)
    assert said == "The error rate is open: 0.1 %; limit 5 %; nothing passes while there are signs of harm."
    said = finding_sentence(Finding.OPEN, "error rate", "", "0.1 %", "limit 5 %", 900.0, 45.0)
    assert said.endswith("short of a proof by about 900 requests (45 s).")


@pytest.mark.parametrize(
    ("bound", "sign", "said"),
    [
        (None, "", "about 0.2 s"),
        (Bound.AT_MOST, "≤ ", "at most 0.2 s, not known closer"),
        (Bound.ABOVE, "> ", "above 0.2 s, not known closer"),
    ],
)
def test_a_quantile_that_is_only_bounded_is_told_as_one(bound: Bound | None, sign: str, said: str) -> None:
    assert explain.bounding(bound) == sign
    assert explain.quantile(0.2, bound, lambda value: f"{value} s") == said
