"""healthd itself: is it in time, what do probes cost, does it get its journal and its messages out?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from grafana import parts
from grafana.parts import lines, now, over_time, stat

_HERE = 'instance=~"$instance"'
_RATE = "[$__rate_interval]"


def dashboard() -> Dashboard:
    about = "The daemon's own life: loop, scheduler, journal, probes' cost."
    return (
        parts.board("healthd itself", "healthd-itself", about, parts.replicas())
        .with_panel(
            stat(
                "Replicas",
                "That Prometheus sees.",
                now(f"count(healthd_build_info{{{_HERE}}})"),
                steps=parts.GOOD_IS_ONE,
            )
        )
        .with_panel(
            stat(
                "Configuration",
                "1 when every replica took the last one, 0 when one refused it.",
                now(f"min(healthd_config_last_reload_successful{{{_HERE}}})"),
                steps=parts.GOOD_IS_ONE,
            )
        )
        .with_panel(
            stat(
                "Up for",
                "The replica that started last.",
                now(f"time() - max(process_start_time_seconds{{{_HERE}}} and on (job, instance) healthd_build_info)"),
                unit="s",
                steps=((None, "text"),),
            )
        )
        .with_panel(
            stat(
                "Loop stalls, 24 hours",
                "Times that an event loop stood still for a second.",
                now(f"sum(increase(healthd_event_loop_stalls_total{{{_HERE}}}[24h]))"),
                steps=parts.WARN_FROM_ONE,
            )
        )
        .with_panel(
            stat(
                "Waiting for the journal",
                "Transitions that are in memory only.",
                now(f"sum(healthd_journal_queue_length{{{_HERE}}})"),
                steps=parts.WARN_FROM_ONE,
            )
        )
        .with_panel(
            stat(
                "Probes a second",
                "Of all replicas.",
                now(f"sum(rate(healthd_probe_duration_seconds_count{{{_HERE}}}{_RATE}))"),
                unit="reqps",
                steps=((None, "text"),),
            )
        )
        .with_row(Row("In time?"))
        .with_panel(
            lines(
                "Event loop lag",
                "How late the loop ran what was due.",
                *(
                    over_time(
                        f"histogram_quantile({quantile}, sum by (instance, le) "
                        f"(rate(healthd_event_loop_lag_seconds_bucket{{{_HERE}}}{_RATE})))",
                        f"{{{{instance}}}} p{100 * quantile:g}",
                    )
                    for quantile in (0.5, 0.99)
                ),
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Runs left out",
                "Scheduled probes that did not happen, a second, by reason.",
                over_time(
                    f"sum by (reason) (rate(healthd_scheduler_skipped_runs_total{{{_HERE}}}{_RATE}))"
                    ' or label_replace(vector(0), "reason", "none", "", "")',
                    "{{reason}}",
                ),
                unit="reqps",
            )
        )
        .with_row(Row("What probes cost"))
        .with_panel(
            lines(
                "Time in probes",
                "Probes under way on average, by check; the ten longest.",
                over_time(
                    f"topk(10, sum by (check) (rate(healthd_probe_duration_seconds_sum{{{_HERE}}}{_RATE})))",
                    "{{check}}",
                ),
            )
        )
        .with_panel(
            lines(
                "CPU",
                "Cores in use.",
                over_time(
                    f"rate(process_cpu_seconds_total{{{_HERE}}}{_RATE}) and on (job, instance) healthd_build_info",
                    "{{instance}}",
                ),
            )
        )
        .with_panel(
            lines(
                "Memory",
                "Resident.",
                over_time(
                    f"process_resident_memory_bytes{{{_HERE}}} and on (job, instance) healthd_build_info",
                    "{{instance}}",
                ),
                unit="bytes",
            )
        )
        .with_panel(
            lines(
                "Open files",
                "Sockets are files too.",
                over_time(f"process_open_fds{{{_HERE}}} and on (job, instance) healthd_build_info", "{{instance}}"),
            )
        )
        .with_row(Row("Journal and gates"))
        .with_panel(
            lines(
                "Journal",
                "Failures of gates to use it, a second, and transitions that wait for it.",
                over_time(
                    f"sum by (instance) (rate(healthd_journal_errors_total{{{_HERE}}}{_RATE})) or vector(0)",
                    "errors {{instance}}",
                ),
                over_time(f"healthd_journal_queue_length{{{_HERE}}}", "waiting {{instance}}"),
            )
        )
        .with_panel(
            lines(
                "Lateness of gates, 99th percentile",
                "How late gates looked; zero when none runs.",
                over_time(
                    "histogram_quantile(0.99, sum by (instance, le) "
                    f"(rate(healthd_gate_tick_lateness_seconds_bucket{{{_HERE}}}{_RATE}))) >= 0 or vector(0)",
                    "{{instance}}",
                ),
                unit="s",
            )
        )
        .with_row(Row("Telling people"))
        .with_panel(
            lines(
                "Notices",
                "A second, by notifier and what became of them; zero when there is nothing to tell.",
                over_time(
                    f"sum by (notifier, outcome) (rate(healthd_notifications_total{{{_HERE}}}{_RATE}))"
                    ' or label_replace(vector(0), "notifier", "none", "", "")',
                    "{{notifier}} {{outcome}}",
                ),
                unit="reqps",
            )
        )
        .with_panel(
            lines(
                "Notices that wait",
                "More than a moment: the notifier is down.",
                over_time(
                    f"sum by (notifier) (healthd_notifications_queue_length{{{_HERE}}})"
                    ' or label_replace(vector(0), "notifier", "none configured", "", "")',
                    "{{notifier}}",
                ),
            )
        )
    )
