"""Metrics of the checks, collected from the board at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from healthd.model import Result, Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState

_USAGE = {"inodeUsage": "inodes", "connectionsUsedPercent": "connections", "usedMemoryPercent": "memory"}


class BoardCollector(Collector):
    """Board as metrics at the moment of the scrape: a check that is overdue then is unknown."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        states = self._board.checks()
        status = GaugeMetricFamily(
            "healthd_check_status", "The status of each check: 1 for the one that it has.", labels=["check", "status"]
        )
        for state in states:
            for each in Status:
                status.add_metric([state.name, each.value], each is state.status)
        yield status
        info = GaugeMetricFamily(
            "healthd_check_info", "Always 1.", labels=["check", "kind", "scope", "critical", "maintenance"]
        )
        latency = GaugeMetricFamily(
            "healthd_check_latency_seconds", "The dependency's own answer time in the last probe.", labels=["check"]
        )
        probed = GaugeMetricFamily(
            "healthd_check_last_probe_timestamp_seconds", "When the last probe ended.", labels=["check"]
        )
        healthy = GaugeMetricFamily(
            "healthd_check_last_success_timestamp_seconds", "When a probe last succeeded.", labels=["check"]
        )
        for state in states:
            config = state.config
            truths = (str(config.critical).lower(), str(state.maintenance is not None).lower())
            info.add_metric([state.name, config.kind, config.scope.value, *truths], 1)
            if state.probe is not None:
                probed.add_metric([state.name], state.probe.at.timestamp())
                if (result := _measured_now(state)) is not None and result.latency is not None:
                    latency.add_metric([state.name], result.latency)
            if state.last_healthy is not None:
                healthy.add_metric([state.name], state.last_healthy.timestamp())
        yield from (info, latency, probed, healthy, *_measured(states))
        value = GaugeMetricFamily(
            "healthd_check_value",
            "What the last probe measured, by the check's own name for it, in base units (s, B).",
            labels=["check", "name", "unit"],
        )
        for state in states:
            for it in result.measures if (result := _measured_now(state)) is not None else ():
                value.add_metric([state.name, it.name, it.unit], it.value)
        yield value
        covered = GaugeMetricFamily(
            "healthd_check_window",
            "1 while a window of the kind covers the check: maintenance, silence, pause, acknowledgement.",
            labels=["check", "kind"],
        )
        for name, kind in sorted({(state.name, cover.kind) for state in states for cover in state.covers}):
            covered.add_metric([name, kind], 1)
        yield covered
        held = GaugeMetricFamily(
            "healthd_check_held_by",
            "1 while the check fails and its notifications are held back, because one that it depends on is down.",
            labels=["check", "by"],
        )
        for state in states:
            if state.held_by is not None:
                held.add_metric([state.name, state.held_by], 1)
        yield held
        yield labels_metric("check", {state.name: state.config.labels for state in states})
        ready = GaugeMetricFamily("healthd_group_ready", "Whether the group's endpoint answers 200.", labels=["group"])
        for name in self._board.groups():
            ready.add_metric([name], self._board.group(name).ready)
        yield ready


def labels_metric(subject: str, labels: Mapping[str, Mapping[str, str]]) -> Metric:
    """Return the labels of checks or services by name, as kube-state-metrics exports those of Kubernetes' objects: a
    series with `label_NAME` for each label to join others with."""
    names = sorted({name for each in labels.values() for name in each})
    metric = GaugeMetricFamily(
        f"healthd_{subject}_labels",
        f"Always 1. The labels of each {subject}, to join other metrics with.",
        labels=[subject, *(f"label_{name}" for name in names)],
    )
    for each, own in labels.items():
        if own:
            metric.add_metric([each, *(own.get(name, "") for name in names)], 1)
    return metric


def _measured_now(state: CheckState) -> Result | None:
    """Return a result whose numbers are those of this moment: the replica that runs a check exports them, and no
    other."""
    return None if state.probe is None or state.overdue or state.elsewhere else state.probe.result


def _measured(states: tuple[CheckState, ...]) -> Iterator[Metric]:
    """Yield what checks measured that can run out: shares in use, and the expiry of certificates."""
    usage = GaugeMetricFamily(
        "healthd_check_usage_ratio", "The share of something limited that is in use.", labels=["check", "resource"]
    )
    expiry = GaugeMetricFamily(
        "healthd_certificate_expiry_timestamp_seconds",
        "When the certificate expires that is relied on and nearest to its end.",
        labels=["check"],
    )
    lifetime = GaugeMetricFamily(
        "healthd_certificate_lifetime_seconds",
        "For how long that certificate is valid in all, from its first day to its last.",
        labels=["check"],
    )
    for state in states:
        if (result := _measured_now(state)) is None:
            continue
        observed = result.observed
        for key, resource in (("usage", state.config.kind), *_USAGE.items()):
            if isinstance(percent := observed.get(key), int | float):
                usage.add_metric([state.name, resource], percent / 100)
        if isinstance(end := observed.get("certificateExpires"), str):
            expiry.add_metric([state.name], datetime.fromisoformat(end).timestamp())
        if isinstance(days := observed.get("certificateLifetimeDays"), int | float):
            lifetime.add_metric([state.name], days * 86400)
    yield from (usage, expiry, lifetime)
