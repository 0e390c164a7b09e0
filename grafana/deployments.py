"""Deployments: the gates in flight, what they see against their limits, and what became of those before."""

from __future__ import annotations

from typing import Literal

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries

from grafana import parts
from grafana.parts import lines, now, over_time, stat

_WHERE = 'instance=~"$instance",service=~"$service"'
_UNITS = {"ratio": "percentunit", "seconds": "s"}


def _or(label: str, word: str) -> str:
    """Zero under a name that says why, where there is nothing to show."""
    return f' or label_replace(vector(0), "{label}", "{word}", "", "")'


def dashboard() -> Dashboard:
    variables = [
        *parts.replicas(),
        parts.variable("service", "Service", 'label_values({__name__=~"healthd_gate.*"}, service)'),
    ]
    about = "Gates: candidate against its limits and the baseline, verdicts, rollbacks."
    verdicts = f"(time() - healthd_gate_last_verdict_timestamp_seconds{{{_WHERE}}}) < 60"
    rollbacks = f"(time() - healthd_gate_last_rollback_timestamp_seconds{{{_WHERE}}}) < 60"
    return (
        parts.board("Deployments", "healthd-deployments", about, variables)
        .annotation(parts.happenings("Verdicts", verdicts, "blue"))
        .annotation(parts.happenings("Rollbacks", rollbacks, "red"))
        .with_panel(
            stat(
                "Gates in flight",
                "Watches after a pass included.",
                now(f"sum(healthd_gates_active{{{_WHERE}}}) or vector(0)"),
                steps=((None, "text"), (1, "blue")),
            )
        )
        .with_panel(_verdicts("Passed", "pass", ((None, "text"), (1, "green"))))
        .with_panel(_verdicts("Failed", "fail", parts.BAD_FROM_ONE))
        .with_panel(_verdicts("Inconclusive", "inconclusive", parts.WARN_FROM_ONE))
        .with_panel(
            stat(
                "Rollbacks not known to be well",
                "Failed, impossible or unconfirmed since the daemon started.",
                now(f'sum(healthd_gate_rollbacks_total{{{_WHERE},state=~"rollback_.*"}}) or vector(0)'),
                steps=parts.BAD_FROM_ONE,
            )
        )
        .with_panel(
            stat(
                "Time to a verdict",
                "The average since the daemon started.",
                now(
                    f"(sum(healthd_gate_decision_duration_seconds_sum{{{_WHERE}}}) / "
                    f"sum(healthd_gate_decision_duration_seconds_count{{{_WHERE}}})) or vector(0)"
                ),
                unit="s",
                steps=((None, "text"),),
            )
        )
        .with_row(Row("In flight"))
        .with_panel(
            lines(
                "Gates by state",
                "Settling, observing, held for a person, acting, watching.",
                over_time(
                    f"sum by (service, state) (healthd_gates_active{{{_WHERE}}})" + _or("state", "none"),
                    "{{service}} {{state}}",
                ),
                width=24,
            )
        )
        .with_panel(_against_limits("Error rate against its limit", "ratio"))
        .with_panel(_against_limits("Latency against its limit", "seconds"))
        .with_panel(
            lines(
                "Evidence of harm",
                "Natural logarithm of the e-value by criterion: a gate fails near ln(1 / risk), 4.6 at 1 %.",
                over_time(
                    f"max by (service, criterion) (healthd_gate_log_evidence_of_harm{{{_WHERE}}})"
                    + _or("criterion", "no gate in flight"),
                    "{{service}} {{criterion}}",
                ),
                width=24,
            )
        )
        .with_row(Row("Before"))
        .with_panel(
            lines(
                "Verdicts",
                "Since the daemon started, by what decided.",
                over_time(_by_reason() + _or("verdict", "none yet"), "{{service}} {{verdict}} {{reason}} {{observed}}"),
            )
        )
        .with_panel(
            lines(
                "Rollbacks",
                "Since the daemon started, by how far they came.",
                over_time(
                    f"sum by (service, state) (healthd_gate_rollbacks_total{{{_WHERE}}})" + _or("state", "none yet"),
                    "{{service}} {{state}}",
                ),
            )
        )
    )


def _verdicts(title: str, verdict: str, steps: parts.Steps) -> Stat:
    query = f'sum(healthd_gate_verdicts_total{{{_WHERE},verdict="{verdict}",observed!="true"}}) or vector(0)'
    return stat(title, "Since the daemon started, without what is only observed.", now(query), steps=steps)


def _by_reason() -> str:
    """Verdicts, with words for a label that is true or false."""
    query = f"sum by (service, verdict, reason, observed) (healthd_gate_verdicts_total{{{_WHERE}}})"
    for value, words in (("true", "only observed"), ("false", "")):
        query = f'label_replace({query}, "observed", "{words}", "observed", "{value}")'
    return query


def _against_limits(title: str, unit: Literal["ratio", "seconds"]) -> TimeSeries:
    queries = [
        over_time(
            f"max by (service, criterion) (healthd_gate_{what}_{unit}{{{_WHERE}}})"
            + _or("criterion", "no gate in flight"),
            f"{{{{service}}}} {{{{criterion}}}} {what}",
        )
        for what in ("candidate", "limit", "baseline")
    ]
    return lines(title, "What the newest gate of a service sees, while it runs.", *queries, unit=_UNITS[unit])
