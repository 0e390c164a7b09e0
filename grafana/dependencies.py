"""Dependencies: how fast they answer, how they fail, and what is running out."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from grafana import parts
from grafana.parts import lines, now, over_time

_WHERE = 'instance=~"$instance",check=~"$check"'
_OF_KIND = f' * on (job, instance, check) group_left (kind) healthd_check_info{{{_WHERE},kind=~"$kind"}}'
_NONE = 'label_replace(vector(0), "check", "{word}", "", "")'


def dashboard() -> Dashboard:
    variables = [
        *parts.replicas(),
        parts.variable("kind", "Kind", 'label_values(healthd_check_info{instance=~"$instance"}, kind)'),
        parts.variable(
            "check", "Check", 'label_values(healthd_check_info{instance=~"$instance",kind=~"$kind"}, check)'
        ),
    ]
    about = "Databases, third parties, network and host: choose by kind."
    return (
        parts.board("Dependencies", "healthd-dependencies", about, variables)
        .with_row(Row("Answers"))
        .with_panel(
            lines(
                "Latency",
                "The dependency's own answer time in the last probe, the slowest replica's.",
                over_time(f"max by (check) (healthd_check_latency_seconds{{{_WHERE}}}{_OF_KIND})", "{{check}}"),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Whole probes, 95th percentile",
                "With connecting and whatever else belongs to a probe.",
                over_time(
                    "histogram_quantile(0.95, sum by (check, le) "
                    f"(rate(healthd_probe_duration_seconds_bucket{{{_WHERE}}}[$__rate_interval]){_OF_KIND})) >= 0",
                    "{{check}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Failing probes",
                "Per second, by check and failure kind; zero when none fails.",
                over_time(
                    f"sum by (check, kind) (rate(healthd_probe_failures_total{{{_WHERE}}}[$__rate_interval])) "
                    f"or {_NONE.format(word='none fails')}",
                    "{{check}} {{kind}}",
                ),
                unit="reqps",
                width=24,
            )
        )
        .with_row(Row("What runs out"))
        .with_panel(
            lines(
                "In use",
                "Disks, inodes, memory, connections: the share that is in use, the fullest replica's.",
                over_time(
                    f"max by (check, resource) (healthd_check_usage_ratio{{{_WHERE}}})", "{{check}} {{resource}}"
                ),
                unit="percentunit",
            ).max(1)
        )
        .with_panel(
            lines(
                "Disks in four hours",
                "What the growth of the last hour comes to; above 100 % somebody is called.",
                over_time(
                    "max by (instance, check, resource) (predict_linear("
                    f'healthd_check_usage_ratio{{{_WHERE},resource=~"disk|inodes"}}[1h], 4 * 3600)) '
                    f"or {_NONE.format(word='no disk is checked')}",
                    "{{check}} {{resource}} {{instance}}",
                ),
                unit="percentunit",
            )
        )
        .with_panel(
            parts.stat(
                "First certificate to end",
                "Days left of every certificate that is looked at; none is shown where none is.",
                now(
                    f"min by (check) (healthd_certificate_expiry_timestamp_seconds{{{_WHERE}}} - time()) / 86400",
                    "{{check}}",
                ),
                unit="d",
                steps=((None, "red"), (3, "orange"), (21, "green")),
                width=24,
            ).no_value("no certificate is checked")
        )
    )
