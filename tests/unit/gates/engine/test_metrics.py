"""What a scrape sees of the gates that run here."""

from dataclasses import replace
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest

from healthd_gates.domain.callback import ReplyState
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Unit, Verdict
from healthd_gates.engine.metrics import GateMetrics, ReplyMetrics, RunningGates
from tests.unit.gates.engine.values import NOW, PASSED, gate, standing


def scraped(*gates: Gate) -> list[str]:
    registry = CollectorRegistry()
    registry.register(RunningGates(lambda: gates))
    lines = generate_latest(registry).decode().splitlines()
    return [
        line.removeprefix("healthd_gate").replace('{policy="p",service="api"}', "") for line in lines if line[0] != "#"
    ]


def report(name: str, unit: Unit | None, log_e: float | None) -> CriterionReport:
    return CriterionReport(
        name=name, critical=True, finding=Finding.OPEN, sentence="It is so.", observed=0.25, unit=unit, log_e_harm=log_e
    )


def test_a_ramp_shows_how_wide_it_is() -> None:
    """What is not known yet is left out, and so is a gate that is decided."""
    ramp = Ramp(until=NOW + timedelta(hours=1), weight=0.5, spent=3.0)
    found = scraped(gate(GateState.RAMPING, ramp=ramp))
    assert [line for line in found if line.startswith("_ramp")] == [
        "_ramp_weight_ratio 0.5",
        "_ramp_spent_requests 3.0",
    ]
    decided = gate(GateState.WATCHING, ramp=ramp, decision=PASSED)
    assert not [line for line in scraped(decided) if line.startswith("_ramp")]


def test_a_criterion_shows_what_it_has() -> None:
    """A ratio as one; an answer that is yes or no has neither a number nor evidence."""
    seen = replace(
        standing(None, Reason.NOT_ENOUGH_EVIDENCE),
        criteria=(report("errors", Unit.RATIO, 0.5), report("checks", None, None)),
    )
    found = [line for line in scraped(gate(standing=seen)) if "criterion" in line]
    assert {line.split('criterion="')[1].split('"')[0] for line in found} == {"errors"}
    assert [line.split("{")[0] for line in found] == ["_candidate_ratio", "_log_evidence_of_harm"]


def test_a_verdict_that_is_only_observed_is_told_apart() -> None:
    """So that whoever counts failed gates, or is called for one, may leave it out."""
    registry = CollectorRegistry()
    metrics = GateMetrics(registry)
    for observed in (False, True):
        decision = replace(PASSED, verdict=Verdict.FAIL, reason="harm", observed=observed)
        metrics.changed(gate(), gate(GateState.WATCHING, decision=decision))
    for label in ("true", "false"):
        ended = {"service": "api", "verdict": "fail", "observed": label}
        counted = {**ended, "policy": "p", "reason": "harm"}
        assert registry.get_sample_value("healthd_gate_verdicts_total", counted) == 1
        told = registry.get_sample_value("healthd_gate_last_verdict_timestamp_seconds", ended)
        assert told == PASSED.at.timestamp()


def test_a_callback_is_counted_at_its_end() -> None:
    registry = CollectorRegistry()
    metrics = ReplyMetrics(registry)
    for state in (ReplyState.DUE, ReplyState.DONE, ReplyState.DONE, ReplyState.GIVEN_UP):
        metrics.settled("flagger", state)
    counted = {
        state: registry.get_sample_value("healthd_hook_callbacks_total", {"hook": "flagger", "state": state.value})
        for state in ReplyState
    }
    ended = {ReplyState.DONE: 2.0, ReplyState.GIVEN_UP: 1.0}
    assert counted == {ReplyState.DUE: None, ReplyState.WAITING: None, **ended}
