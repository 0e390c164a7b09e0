"""A ramp over the past: divided as it would have been, widened as a gate is, and harm counted at those weights."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.ramp_replay import Replayed, replayed_ramp
from healthd_gates.engine.spec import GateSpec

START = datetime(2026, 3, 1, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "observe": {"min": "60s", "max": "5m"},
    "criteria": [
        {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}},
        {"kind": "latency", "quantile": "95%", "limit": "1s", "critical": False},
    ],
    "ramp": {"budget": 300, "pause_before": ["50%"]},
}


def past(bad: float, *, share: float = 0.5) -> Iterator[Evidence]:
    """Half an hour in which a version had this share of 500 requests a second."""
    for number in range(1, 361):
        n, m = 2500 * share, 2500 * (1 - share)
        quick = Histogram((0.1, 1.0, float("inf")), (n, 0.0, 0.0), n * 0.05)
        yield Evidence(START + timedelta(seconds=5 * number), 5.0, Counts(n, n * bad, quick), Counts(m, 0.0))


def replayed(bad: float, **more: float) -> list[Replayed]:
    spec = GateSpec(Policy.model_validate(POLICY), None)
    return list(replayed_ramp(spec, spec.verdict_rules, Recording(list(past(bad, **more))), START))


def test_a_good_version_would_have_had_everything() -> None:
    """Whatever part it had then, and whoever is to be asked on the way."""
    for share in (0.5, 0.1):
        looks = replayed(0.0, share=share)
        assert looks[-1].standing.verdict is Verdict.PASS
        assert (looks[-1].weight, looks[-1].harmed) == (1.0, 0.0)
        weights = [look.weight or 0.0 for look in looks]
        assert weights == sorted(weights)


def test_a_bad_version_would_have_harmed_no_more_than_the_budget() -> None:
    looks = replayed(0.2)
    assert looks[-1].standing.verdict is Verdict.FAIL
    assert 0 < looks[-1].harmed <= 300
    assert max(look.weight or 0.0 for look in looks) < 0.5


def test_a_version_that_nobody_called_is_given_nothing_more() -> None:
    """Its first weight shows nobody, as with a version that answers nobody."""
    looks = replayed(0.0, share=0.0)
    assert looks[-1].standing.verdict is Verdict.INCONCLUSIVE
    assert "No request of the candidate was counted" in looks[-1].standing.sentence
