"""Overview: what is wrong, since when, and who notices. The first dashboard of whoever was called."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, Row
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataTransformerConfig, DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana import parts
from grafana.parts import lines, now, over_time, stat, states, table

_OBJECTIVE = 0.999
_HERE = 'instance=~"$instance"'
_STATUS = f'healthd_check_status{{{_HERE},check=~"$check"'
_CODE = (
    f'max by (check) (3 * {_STATUS},status="unhealthy"}}'
    f' + ignoring (status) 2 * {_STATUS},status="unknown"}}'
    f' + ignoring (status) {_STATUS},status="degraded"}})'
)
_READY = f'healthd_group_ready{{{_HERE},group="ready"}}'
_AVAILABLE = f"avg(avg_over_time({_READY}[30d]))"
_UP_BY_CHECK = (
    f'avg by (check) (sum by (check, instance) (avg_over_time({_STATUS},status=~"healthy|degraded"}}[$__range])))'
)


def dashboard() -> Dashboard:
    variables = [
        *parts.replicas(),
        parts.variable("check", "Check", 'label_values(healthd_check_info{instance=~"$instance"}, check)'),
    ]
    built = parts.board("Overview", "healthd-overview", "Every check, every group, and availability.", variables)
    turns = (
        f'sum by (check, to) (increase(healthd_check_transitions_total{{{_HERE},check=~"$check"}}[$__interval])) > 0'
    )
    return (
        built.annotation(parts.happenings("Transitions", turns, "orange"))
        .with_panel(_counted("Unhealthy", "unhealthy", parts.BAD_FROM_ONE))
        .with_panel(_counted("Unknown", "unknown", parts.BAD_FROM_ONE))
        .with_panel(_counted("Degraded", "degraded", parts.WARN_FROM_ONE))
        .with_panel(
            stat(
                "Ready replicas",
                "Replicas whose /health/ready answers 200.",
                now(f"sum({_READY})"),
                steps=parts.GOOD_IS_ONE,
            )
        )
        .with_panel(
            stat(
                "Availability, 30 days",
                "The share of the time for which replicas were ready.",
                now(_AVAILABLE),
                unit="percentunit",
                steps=((None, "red"), (_OBJECTIVE, "green")),
            )
        )
        .with_panel(
            stat(
                "Error budget left",
                f"Of the {1 - _OBJECTIVE:.1%} of 30 days that an objective of {_OBJECTIVE:.1%} allows; "
                "-100 % is the lowest that is shown.",
                now(f"clamp_min(1 - (1 - {_AVAILABLE}) / (1 - {_OBJECTIVE}), -1)"),
                unit="percentunit",
                steps=((None, "red"), (0, "orange"), (0.25, "green")),
            )
        )
        .with_row(Row("Checks"))
        .with_panel(
            states(
                "Checks",
                "The worst that any replica sees.",
                over_time(_CODE, "{{check}}"),
                parts.STATUSES,
                width=24,
                height=10,
            ).data_links([_to_dependencies()])
        )
        .with_panel(_standing())
        .with_panel(
            lines(
                "Up, by check",
                "The share of the shown time for which it was healthy or degraded.",
                over_time(_UP_BY_CHECK, "{{check}}"),
                unit="percentunit",
            )
        )
        .with_row(Row("Groups"))
        .with_panel(
            states(
                "Groups",
                "Whether any replica answers 200 for the group.",
                over_time(f"max by (group) (healthd_group_ready{{{_HERE}}})", "{{group}}"),
                parts.READINESS,
                width=24,
                height=6,
            )
        )
    )


def _counted(title: str, status: str, steps: parts.Steps) -> Stat:
    worst = f'count(max by (check) ({_STATUS},status="{status}"}}) == 1) or vector(0)'
    return stat(title, f"Checks that are {status} on any replica.", now(worst), steps=steps)


def _standing() -> Table:
    """Every check with what it is and how it stands."""
    what = f'max by (check, kind, critical, scope, maintenance) (healthd_check_info{{{_HERE},check=~"$check"}})'
    age = f'time() - max by (check) (healthd_check_last_probe_timestamp_seconds{{{_HERE},check=~"$check"}})'
    queries = (now(what), now(_CODE), now(age))
    named = {"Value #A": "", "Value #B": "status", "Value #C": "seconds since the last probe"}
    hidden = {"Time": True, "Value #A": True}
    panel = table(
        "How they stand",
        "The worst that any replica sees, and how old that is.",
        *(q.format(PromQueryFormat.TABLE) for q in queries),
        width=12,
        height=8,
    )
    panel = panel.override_by_name(
        "status", [DynamicConfigValue(id_val="mappings", value=[parts.words(parts.STATUSES)])]
    )
    panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(
        DataTransformerConfig(id_val="organize", options={"excludeByName": hidden, "renameByName": named})
    )


def _to_dependencies() -> DashboardLink:
    url = "/d/healthd-dependencies?${datasource:queryparam}&${instance:queryparam}&var-check=${__field.labels.check}"
    return DashboardLink("Latency and failures of this check").type(DashboardLinkType.LINK).url(url)
