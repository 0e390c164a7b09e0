"""Every metric of the gate, in the daemon's registry. Labels are bounded by the configuration."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from healthd.config.in_force import Current
from healthd.monitoring.board_metrics import labels_metric
from healthd_gates.actions.contract import Ending
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.callback import ReplyState
from healthd_gates.domain.gate import Gate, RollbackState
from healthd_gates.domain.standing import Unit

_DECISION_SECONDS = (10, 20, 30, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
_TRY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SUFFIXES = {Unit.RATIO: "ratio", Unit.SECONDS: "seconds", Unit.RATE: "rate", Unit.VALUE: "value"}
_MEASURED = {
    "candidate": "What a criterion measures of the candidate.",
    "baseline": "What a criterion measures of the baseline.",
    "limit": "The limit of a criterion.",
}
_RAMP = {
    "weight_ratio": "The candidate's share of the traffic that a ramp has ordered.",
    "share_ratio": "The candidate's share of the requests as seen since the last change of its weight.",
    "budget_requests": "The harm budget of a ramp: requests that may fail because of the release.",
    "spent_requests": "Requests of the harm budget that are spent.",
}
_LATE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class GateMetrics:
    """Metrics of gates."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verdicts = Counter(
            "healthd_gate_verdicts_total",
            "Verdicts, by what they were and what decided them; from one that is only observed nothing follows.",
            ["service", "policy", "verdict", "reason", "observed"],
            registry=registry,
        )
        self._seconds = Histogram(
            "healthd_gate_decision_duration_seconds",
            "From the start of a gate to its verdict.",
            ["service", "policy", "verdict"],
            buckets=_DECISION_SECONDS,
            registry=registry,
        )
        self._rollbacks = Counter(
            "healthd_gate_rollbacks_total",
            "Rollbacks, by what called for them and how far they came.",
            ["service", "trigger", "state"],
            registry=registry,
        )
        self._verdict_at = Gauge(
            "healthd_gate_last_verdict_timestamp_seconds",
            "When a gate of the service last ended so; one that was only observed apart.",
            ["service", "verdict", "observed"],
            registry=registry,
        )
        self._rollback_at = Gauge(
            "healthd_gate_last_rollback_timestamp_seconds",
            "When a rollback of the service last came so far.",
            ["service", "state"],
            registry=registry,
        )
        self.late = Histogram(
            "healthd_gate_evaluation_delay_seconds",
            "How long after the intended time a gate evaluated its evidence.",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self.stumbles = Counter(
            "healthd_gate_internal_errors_total",
            "Times that a gate failed with an internal error of healthd, and was started again.",
            registry=registry,
        )
        self.taken_over = Counter(
            "healthd_gate_takeovers_total", "Gates taken over from a replica that fell silent.", registry=registry
        )
        self.lost = Counter(
            "healthd_gate_leases_lost_total", "Gates that another replica took from this one.", registry=registry
        )
        self.unreadable = Gauge(
            "healthd_gates_unreadable",
            "Gates that nobody runs, since this release of healthd cannot read what is stored of them.",
            registry=registry,
        )
        self.journal_errors = Counter(
            "healthd_journal_errors_total", "Times that the journal could not be used by gates.", registry=registry
        )

    def changed(self, before: Gate, after: Gate) -> None:
        """Count the changes of a stored step."""
        if after.decision is not None and before.decision is None:
            decision = after.decision
            verdict, observed = decision.verdict.value, str(decision.observed).lower()
            self._verdicts.labels(after.service, after.policy, verdict, decision.reason, observed).inc()
            seconds = (decision.at - after.created_at).total_seconds()
            self._seconds.labels(after.service, after.policy, verdict).observe(max(0.0, seconds))
            self._verdict_at.labels(after.service, verdict, observed).set(decision.at.timestamp())
        if after.rollback is not None and _stage(after) != _stage(before):
            self._rollbacks.labels(after.service, after.rollback.trigger, after.rollback.state.value).inc()
            self.inherited(after)

    def inherited(self, gate: Gate) -> None:
        """Show the time of a rollback's state, even if another replica counted it."""
        assert gate.rollback is not None
        moment = gate.finished_at or gate.rollback.at
        self._rollback_at.labels(gate.service, gate.rollback.state.value).set(moment.timestamp())


def _stage(gate: Gate) -> tuple[RollbackState, int] | None:
    return (gate.rollback.state, gate.rollback.round) if gate.rollback else None


class ActionMetrics:
    """Metrics of actions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "healthd_action_attempts_total",
            "Attempts of actions, by how they ended.",
            ["action", "kind", "ending"],
            registry=registry,
        )
        self._seconds = Histogram(
            "healthd_action_attempt_duration_seconds",
            "Duration of an attempt of an action.",
            ["action", "kind"],
            buckets=_TRY_SECONDS,
            registry=registry,
        )
        self._settled = Counter(
            "healthd_actions_completed_total",
            "Actions that have come to an end: done, given up, or without a baseline to roll back to.",
            ["action", "state"],
            registry=registry,
        )
        self.oldest_due = Gauge(
            "healthd_action_queue_oldest_age_seconds",
            "Age of the oldest action that is due and not done; 0 when there is none.",
            registry=registry,
        )

    def tried(self, action: str, kind: str, ending: Ending, seconds: float) -> None:
        self._tries.labels(action, kind, ending.value).inc()
        self._seconds.labels(action, kind).observe(seconds)

    def settled(self, action: str, state: OrderState) -> None:
        if state is not OrderState.DUE:
            self._settled.labels(action, state.value).inc()


class ReplyMetrics:
    """Metrics of callbacks to deploy tools."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._settled = Counter(
            "healthd_hook_callbacks_total",
            "Replies to deploy tools that have come to an end: taken by the tool (done), or given up.",
            ["hook", "state"],
            registry=registry,
        )

    def settled(self, hook: str, state: ReplyState) -> None:
        if state.is_over:
            self._settled.labels(hook, state.value).inc()


class ServiceLabels(Collector):
    """The labels of the configured services."""

    def __init__(self, config: Current[Config]) -> None:
        self._config = config

    def collect(self) -> Iterator[Metric]:
        yield labels_metric("service", {name: each.labels for name, each in self._config.now.services.items()})


class RunningGates(Collector):
    """The gates that this replica runs, at the moment of the scrape."""

    def __init__(self, running: Callable[[], Iterable[Gate]]) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        gates = list(self._running())
        active = GaugeMetricFamily("healthd_gates_active", "Gates that this replica runs.", labels=["service", "state"])
        for (service, state), count in Tally((gate.service, gate.state.value) for gate in gates).items():
            active.add_metric([service, state], count)
        yield active
        labels = ["service", "policy", "criterion"]
        measured = {
            (what, unit): GaugeMetricFamily(f"healthd_gate_{what}_{suffix}", help_text, labels=labels)
            for what, help_text in _MEASURED.items()
            for unit, suffix in _SUFFIXES.items()
        }
        evidence = GaugeMetricFamily(
            "healthd_gate_log_evidence_of_harm", "Natural logarithm of the e-value of harm.", labels=labels
        )
        for gate in {gate.service: gate for gate in gates}.values():  # of two gates of a service, the newer one
            for criterion in gate.standing.criteria if gate.standing else ():
                where = [gate.service, gate.policy, criterion.name]
                values = {"candidate": criterion.observed, "baseline": criterion.baseline, "limit": criterion.limit}
                for what, value in values.items():
                    if value is not None and criterion.unit is not None:
                        measured[what, criterion.unit].add_metric(where, value)
                if criterion.log_e_harm is not None:
                    evidence.add_metric(where, criterion.log_e_harm)
        yield from (*measured.values(), evidence, *_ramps(gates))


def _ramps(gates: Iterable[Gate]) -> Iterator[Metric]:
    """Yield how wide the releases are that are widened now."""
    weight, share, budget, spent = (
        GaugeMetricFamily(f"healthd_gate_ramp_{name}", help_text, labels=["service", "policy"])
        for name, help_text in _RAMP.items()
    )
    for gate in gates:
        if (ramp := gate.ramp) is None or gate.decision is not None:
            continue
        where = [gate.service, gate.policy]
        values = ((weight, ramp.weight), (share, ramp.share), (budget, ramp.budget), (spent, ramp.spent))
        for family, value in values:
            if value is not None:
                family.add_metric(where, value)
    yield from (weight, share, budget, spent)
