"""The forecast of a ramp: the weights are those that a gate gives, and what is harmed is within the budget."""

from pathlib import Path
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.engine.ramp_simulation import RampForecast, forecast_ramp
from healthd_gates.judge.simulated_traffic import HEALTHY, Change, Traffic
from tests.fakes.gates import replica
from tests.unit.gates.engine.test_ramp import COMPARE, TRAFFIC, World, answered, live, ramping

TIMES = {"initial_delay": "30s", "interval": "5s", "observe": {"min": "60s", "max": "5m"}}


def row(change: Change, *, rate: float = TRAFFIC, errors: float = 0.01, runs: int = 3, **policy: Any) -> RampForecast:
    chosen = Policy.model_validate({**TIMES, "criteria": COMPARE, "ramp": {"budget": 300}, **policy})
    (found,) = forecast_ramp(chosen, Traffic(0.0, rate, errors), [change], action=5.0, runs=runs)
    return found


async def test_the_weights_are_those_of_a_gate(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same policy, run by the engine against a balancer that obeys."""
    world = World()
    live(world, monkeypatch)
    async with replica(file, ramping({"budget": 300}, policy=TIMES)) as running:
        gate = await answered(running)
    found = row(HEALTHY, errors=0.0, runs=1)
    assert [weight for _, weight in found.weights] == pytest.approx(world.set, rel=0.1)
    assert gate.ramp is not None
    assert gate.ramp.full_at is not None
    assert found.full_median == pytest.approx((gate.ramp.full_at - gate.created_at).total_seconds(), abs=20)


def test_a_healthy_release_has_everything_and_harms_nobody() -> None:
    found = row(HEALTHY)
    assert (found.failed, found.back, found.passed, found.harmed) == (0, 0, 1, 0)
    assert found.full_median is not None
    assert found.passed_median is not None
    assert found.full_median + 60 <= found.passed_median


@pytest.mark.parametrize(
    "change", [Change("10 %", errors=10), Change("outage", errors=1e9), Change("answers nobody", answers=False)]
)
def test_a_bad_release_is_taken_back_within_the_budget(change: Change) -> None:
    found = row(change)
    assert found.back == 1
    assert 0 < found.harmed <= found.harmed_90 <= 1.5 * 300
    assert found.weights
    assert found.full_median is None


def test_slower_answers_are_harm_where_a_limit_says_so() -> None:
    latency = [*COMPARE, {"kind": "latency", "limit": "1s", "quantile": "95%", "compare": {"to": "concurrent"}}]
    assert row(Change("3× latency", latency=3.0), criteria=latency, runs=1).harmed > 0


def test_each_gate_is_told_when_it_is_over() -> None:
    """At little traffic one takes long, and a terminal shows that it goes on."""
    chosen = Policy.model_validate({**TIMES, "criteria": COMPARE, "ramp": {"budget": 300}})
    over: list[int] = []
    traffic = Traffic(0.0, TRAFFIC, 0.01)
    forecast_ramp(chosen, traffic, [HEALTHY], action=5.0, runs=2, ran=lambda: over.append(len(over)))
    assert over == [0, 1]


def test_a_budget_that_allows_no_weight_is_said() -> None:
    """And nobody needs to let a simulated ramp go on."""
    found = row(HEALTHY, rate=50_000, runs=1, ramp={"budget": 1, "timeout": "2m", "pause_before": ["25%"]})
    assert (found.weights, found.inconclusive) == ((), 1)
    assert "give more budget" in found.ended
