"""The engine's numbers against an independent implementation of the same formulas, kept as golden vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.judge.evalues import harm_above, harm_ratio, safe_below, safe_ratio
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.mixtures import Mixture, OnsetMixture

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())
CAP = 3.0
ODDS = 99.0
HARM_TIMES = (1.2, 1.5, 2, 3, 5, 8, 12, 18, 0.999 / 0.05)
SAFE_TIMES = (0.8, 0.6, 0.4, 0.2, 0.05)
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("harm_above", harm_above),
        ("safe_below", safe_below),
        ("harm_ratio", harm_ratio),
        ("safe_ratio", safe_ratio),
    ],
)
def test_log_e_values(name: str, function: Any) -> None:
    """Each log e-value of one interval agrees to nine digits."""
    for arguments, expected in GOLDEN[name]:
        assert function(*arguments) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("stream", GOLDEN["streams"], ids=["sparse", "dense", "unequal"])
def test_streams(stream: dict[str, Any]) -> None:
    """Sixty intervals of bursty counts lead to the same evidence and the same interval."""
    against_limit, against_baseline = OnsetMixture(len(HARM_TIMES), 60), OnsetMixture(len(FRACTIONS), 60)
    safety, interval = Mixture(len(SAFE_TIMES)), RateInterval()
    for place, (n, x, m, y) in enumerate(stream["counts"]):
        against_limit.step([min(CAP, harm_above(x, n, 0.05, k, ODDS)) for k in HARM_TIMES])
        against_baseline.step([min(CAP, harm_ratio(x, n, y, m, 1.25, f, ODDS)) for f in FRACTIONS])
        safety.step([safe_below(x, n, 0.05, k, ODDS) for k in SAFE_TIMES])
        interval.step(x, n, ODDS)
        expected = {30: stream["midway"], 59: stream["after"]}.get(place)
        if expected:
            assert against_limit.log_e == pytest.approx(expected["limit_harm"])
            assert against_baseline.log_e == pytest.approx(expected["baseline_harm"])
            assert safety.log_e == pytest.approx(expected["limit_safety"])
    assert interval.bounds(0.01) == pytest.approx(stream["interval"], abs=1e-6)
