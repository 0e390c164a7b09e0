"""Prometheus' Alertmanager, API v2: a firing alert is sent again every minute, and expires when it is sent no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.posting import post
from healthd.units import HttpAddress

_REPEAT = 60.0  # seconds
_LAPSES = timedelta(seconds=4 * _REPEAT)
_TOLD = ("gate", "version", "policy", "state", "kind", "failure")  # facts that become annotations
_ALERTS = {"check": "HealthdCheck", "gate": "HealthdGate", "rollback": "HealthdRollback"}


class AlertmanagerConfig(NotifierConfig):
    kind: Literal["alertmanager"]
    url: HttpAddress
    """Base address of Alertmanager."""
    labels: Mapping[str, str] = {}
    """Labels on every alert, such as `team`, for its routes."""


class Alertmanager:
    """Sends the same labels from every replica, so that a failure that all of them see is one alert."""

    config_model: ClassVar[type[NotifierConfig]] = AlertmanagerConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = True
    repeat: ClassVar[float | None] = _REPEAT

    def __init__(self, config: AlertmanagerConfig, context: NotifierContext) -> None:
        self._config, self._context = config, context
        self._url = f"{config.url.rstrip('/')}/api/v2/alerts"

    async def send(self, notices: Sequence[Notice]) -> None:
        now = self._context.clock.now()
        alerts = [alert for notice in notices for alert in self._alerts(notice, now)]
        if alerts:
            await post(self._context.session, self._url, json=alerts)

    def _alerts(self, notice: Notice, now: datetime) -> list[dict[str, Any]]:
        """Return the alert, and the end of an alert with other labels that it replaces: Alertmanager treats that as
        another one."""
        before = notice.before if notice.before is not None and notice.before.firing else None
        if not notice.firing:
            return [self._alert(before, now)] if before is not None else []
        alerts = [self._alert(notice, now + _LAPSES)]
        if before is not None and (before.severity, before.labels) != (notice.severity, notice.labels):
            alerts.append(self._alert(before, now))
        return alerts

    def _alert(self, notice: Notice, ends: datetime) -> dict[str, Any]:
        subject = {"check": notice.name} if notice.about == "check" else {"service": notice.name}
        host = {"instance": notice.facts["host"]} if "host" in notice.facts else {}
        labels = {
            **notice.labels,
            "alertname": _ALERTS[notice.about],
            "environment": self._context.environment,
            "severity": notice.severity.value,
            **subject,
            **host,
            **self._config.labels,
        }
        annotations = {
            "summary": f"{notice.summary} in {self._context.environment}",
            "description": notice.detail,
            "runbook_url" if notice.about == "check" else "deploy_url": notice.link or "",
            **{name: text for name, text in notice.facts.items() if name in _TOLD},
        }
        return {
            "labels": labels,
            "annotations": {name: text for name, text in annotations.items() if text},
            "startsAt": min(notice.since, ends).isoformat(),
            "endsAt": ends.isoformat(),
            **({"generatorURL": notice.page} if notice.page else {}),
        }
