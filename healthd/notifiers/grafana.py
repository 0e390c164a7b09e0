"""Grafana annotations: a mark on every dashboard for each verdict and rollback, from its start to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.posting import post
from healthd.runtime.credential import APIKey
from healthd.units import HttpAddress


class GrafanaConfig(NotifierConfig):
    kind: Literal["grafana"]
    url: HttpAddress
    """Base address of Grafana."""
    token: APIKey
    """Token of a service account with the permission `annotations:write`."""


class Grafana:
    """Creates one annotation per notice, tagged with its kind, name, environment and standing."""

    config_model: ClassVar[type[NotifierConfig]] = GrafanaConfig
    grouped: ClassVar[bool] = False
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: GrafanaConfig, context: NotifierContext) -> None:
        self._context = context
        self._url = f"{config.url.rstrip('/')}/api/annotations"
        self._headers = {"Authorization": f"Bearer {config.token.get_secret_value()}"}

    async def send(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            environment = self._context.environment
            annotation = {
                "time": _milliseconds(notice.began or notice.since),
                "timeEnd": _milliseconds(notice.since),
                "tags": ["healthd", notice.about, notice.name, environment, notice.standing],
                "text": f"{notice.summary}\n{notice.detail}".strip(),
            }
            await post(self._context.session, self._url, json=annotation, headers=self._headers)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
