"""The forecast agrees with what the judge does, and states what it cannot know."""

import pytest

from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.judge.rules import Against, Rules, Timing
from healthd_gates.judge.simulated_traffic import CHANGES, Change, Traffic
from healthd_gates.judge.simulation import Forecast, forecast

pytestmark = pytest.mark.proof

RULES = Rules(
    (ErrorRate(compare=Compare()), Checks(name="ready", group="ready", failures=1)), timing=Timing(maximum=600)
)


def rows(rules: Rules, traffic: Traffic, runs: int = 20) -> dict[str, Forecast]:
    """The forecast by name of the change."""
    return {row.change.name: row for row in forecast(rules, traffic, runs=runs)}


def test_busy_service() -> None:
    """At 100 requests/s a healthy release passes, five times the errors fail within a minute and a half."""
    table = rows(RULES, Traffic(candidate=100, baseline=100))
    assert set(table) == {"healthy", "2× errors", "5× errors"}
    assert (table["healthy"].failed, table["healthy"].passed) == (0, 1)
    assert 0 < table["healthy"].failed_at_most < 0.2
    assert table["5× errors"].failed == 1
    quick, slow = table["5× errors"].failed_median, table["2× errors"].failed_median
    assert quick is not None
    assert slow is not None
    assert quick <= 90
    assert quick < slow


def test_quiet_service() -> None:
    """At one request in ten seconds nothing can be decided, and the row says so with None."""
    row = rows(RULES, Traffic(candidate=0.1, baseline=0.1), runs=5)["2× errors"]
    assert (row.failed_median, row.failed_90, row.inconclusive) == (None, None, 1)


def test_latency_is_forecast_where_it_is_judged() -> None:
    """A latency criterion adds the row of slower answers."""
    rules = Rules((Latency(limit=2.5, compare=Compare()),), timing=Timing(maximum=300))
    slower = next(change for change in CHANGES if change.latency > 1)
    (row,) = forecast(rules, Traffic(candidate=50, baseline=50), (slower,), runs=10)
    assert row.failed >= 0.9


def test_no_baseline_and_history() -> None:
    """Without a live baseline history takes its place; ten times the errors are seen."""
    rules = Rules((ErrorRate(compare=Compare(to=Against.HISTORY)),), timing=Timing(maximum=300))
    (row,) = forecast(rules, Traffic(candidate=50, baseline=0), (Change("10× errors", errors=10),), runs=10)
    assert row.failed == 1


def test_same_seed_same_rows() -> None:
    """A forecast can be repeated."""
    traffic = Traffic(candidate=5, baseline=5)
    assert forecast(RULES, traffic, runs=3) == forecast(RULES, traffic, runs=3)


@pytest.mark.parametrize("wrong", [{"candidate": -1.0}, {"error_rate": 1.0}, {"median_latency": 0.0}])
def test_impossible_traffic_is_refused(wrong: dict[str, float]) -> None:
    """Traffic that cannot be is a clear error."""
    with pytest.raises(ValueError, match=next(iter(wrong)) if "candidate" not in wrong else "traffic rate"):
        Traffic(**{"candidate": 1.0, "baseline": 1.0, **wrong})
