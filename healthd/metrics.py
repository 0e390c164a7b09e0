"""Metrics of the daemon: names and units by the Prometheus conventions, labels bounded by the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from healthd.checks.contract import CheckConfig
from healthd.model import Probe, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.board_metrics import BoardCollector

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """Registry of the daemon, and its instruments; states are read from the board at each scrape."""

    def __init__(self, board: Board, version: str, environment: str) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(BoardCollector(board))
        self._build = Gauge("healthd_build_info", "Always 1.", ["version", "environment"], registry=registry)
        self.identify(version, environment)
        self._probe_seconds = Histogram(
            "healthd_probe_duration_seconds",
            "How long whole probes took.",
            ["check"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._failures = Counter(
            "healthd_probe_failures_total",
            "Probes that were not healthy, by failure kind.",
            ["check", "kind"],
            registry=registry,
        )
        self._transitions = Counter(
            "healthd_check_transitions_total",
            "Changes of a check's status, after rise and fall.",
            ["check", "to"],
            registry=registry,
        )
        self.skipped = Counter(
            "healthd_scheduler_skipped_runs_total",
            "Scheduled runs that did not happen.",
            ["check", "reason"],
            registry=registry,
        )
        self.loop_lag = Histogram(
            "healthd_event_loop_lag_seconds",
            "How late the event loop ran what was due.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self.loop_stalls = Counter(
            "healthd_event_loop_stalls_total",
            "Times that the event loop stood still for longer than the watchdog allows.",
            registry=registry,
        )
        self.reload_ok = Gauge(
            "healthd_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded.",
            registry=registry,
        )
        self.reload_at = Gauge(
            "healthd_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded.",
            registry=registry,
        )

        self.http_refused = Counter(
            "healthd_http_refused_total",
            "Callers who were turned away, by reason: an unknown token, a bad signature, bytes that are not HTTP, "
            "a request's head that was slow or long, an idle connection that made room for another.",
            ["reason"],
            registry=registry,
        )
        self.notices = Counter(
            "healthd_notifications_total",
            "Notices by what became of them: sent, failed (and tried again), refused, elsewhere (another replica told "
            "it).",
            ["notifier", "outcome"],
            registry=registry,
        )
        self.notifier_up = Gauge(
            "healthd_notifier_up", "Whether the notifier delivers.", ["notifier"], registry=registry
        )
        self.notices_waiting = Gauge(
            "healthd_notifications_queue_length", "Notices that are not delivered yet.", ["notifier"], registry=registry
        )

        self.task_failures = Counter(
            "healthd_task_failures_total",
            "Times that a background task failed and was started again; task start: that a part could not be loaded.",
            ["task"],
            registry=registry,
        )
        self._log_losses = _LogLosses()
        registry.register(self._log_losses)

    def watch_log(self, dropped: Callable[[], int]) -> None:
        """Export at each scrape the number of log lines that were dropped because they were not read in time."""
        self._log_losses.dropped = dropped

    def forget_notifier(self, name: str) -> None:
        """Remove the metrics of a notifier that is no longer configured."""
        for metric in (self.notifier_up, self.notices_waiting, self.notices):
            metric.remove_by_labels({"notifier": name})

    def forget_check(self, name: str) -> None:
        """Remove the metrics of a check that no longer runs."""
        for metric in (self._probe_seconds, self._failures, self._transitions, self.skipped):
            metric.remove_by_labels({"check": name})

    def watch_journal(self, waiting: Callable[[], float], works: Callable[[], bool]) -> None:
        """Export at each scrape whether the journal can be used, and the number of transitions that it has not stored
        yet."""
        Gauge(
            "healthd_journal_up",
            "1 while the journal can be used, 0 for half a minute after an error and while its file or a table is "
            "gone.",
            registry=self.registry,
        ).set_function(lambda: float(works()))
        Gauge(
            "healthd_journal_queue_length",
            "Transitions that are not in the journal yet.",
            registry=self.registry,
        ).set_function(waiting)

    def watch_windows(self, in_force: Callable[[], Mapping[str, int]], unsaved: Callable[[], float]) -> None:
        """Export at each scrape the number of windows that callers have added."""
        self.registry.register(_AddedWindows(in_force))
        Gauge(
            "healthd_windows_unsaved",
            "Windows, and ends of windows, that the journal does not have yet: they hold on this replica alone.",
            registry=self.registry,
        ).set_function(unsaved)

    def watch_incidents(self, are_open: Callable[[], float], unsaved: Callable[[], float]) -> None:
        """Export at each scrape the number of incidents that customers see, and of updates that other replicas lack."""
        Gauge(
            "healthd_incidents_open",
            "Incidents and announcements on the public pages that are not resolved.",
            registry=self.registry,
        ).set_function(are_open)
        Gauge(
            "healthd_incident_updates_unsaved",
            "Updates of incidents that the journal does not have yet: this replica alone shows them.",
            registry=self.registry,
        ).set_function(unsaved)

    def watch_replicas(self, count: Callable[[], float]) -> None:
        """Export at each scrape the number of replicas that share the journal."""
        Gauge(
            "healthd_replicas",
            "Living replicas that share the journal and the environment, this one among them: they tell things once.",
            registry=self.registry,
        ).set_function(count)

    def watch_spread(self, runs: Callable[[], Mapping[str, int]]) -> None:
        """Export at each scrape the number of checks that replicas run for each other, by who runs them."""
        self.registry.register(_SpreadChecks(runs))

    def watch_heartbeats(self, unsaved: Callable[[], float]) -> None:
        """Export at each scrape the number of reports of jobs that the journal does not have yet."""
        Gauge(
            "healthd_heartbeats_unsaved",
            "Reports of jobs that the journal does not have yet: they count on this replica alone.",
            registry=self.registry,
        ).set_function(unsaved)

    def identify(self, version: str, environment: str) -> None:
        """Set version and environment of these metrics."""
        self._build.clear()
        self._build.labels(version, environment).set(1)

    def probed(self, check: str, _config: CheckConfig, probe: Probe) -> None:
        self._probe_seconds.labels(check).observe(probe.duration)
        if probe.result.kind is not None:
            self._failures.labels(check, probe.result.kind.value).inc()

    def changed(self, transition: Transition, _config: CheckConfig) -> None:
        self._transitions.labels(transition.check, transition.new.value).inc()


class _AddedWindows(Collector):
    """Number of windows by kind."""

    def __init__(self, in_force: Callable[[], Mapping[str, int]]) -> None:
        self._in_force = in_force

    def collect(self) -> Iterator[Metric]:
        metric = GaugeMetricFamily(
            "healthd_windows", "Windows that callers have added and that are not over.", labels=["kind"]
        )
        for kind, number in self._in_force().items():
            metric.add_metric([kind], number)
        yield metric


class _SpreadChecks(Collector):
    """Number of spread checks by who runs them."""

    def __init__(self, runs: Callable[[], Mapping[str, int]]) -> None:
        self._runs = runs

    def collect(self) -> Iterator[Metric]:
        metric = GaugeMetricFamily(
            "healthd_spread_checks",
            "Checks that replicas run for each other, by who runs them now: here (this replica), elsewhere.",
            labels=["runs"],
        )
        for where, number in self._runs().items():
            metric.add_metric([where], number)
        yield metric


class _LogLosses(Collector):
    """Number of lines that the log has lost."""

    dropped: Callable[[], int] = staticmethod(lambda: 0)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "healthd_log_lines_dropped", "Lines of the log that nobody read in time.", value=self.dropped()
        )
