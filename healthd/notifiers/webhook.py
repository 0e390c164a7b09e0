"""Webhook: any HTTP endpoint that accepts CloudEvents 1.0 in structured mode, one event per notice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Literal
from urllib.parse import quote

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.posting import post
from healthd.runtime.credential import APIKey
from healthd.runtime.web_address import SecretHttpUrl


class CloudEventsConfig(NotifierConfig):
    kind: Literal["webhook"]
    url: SecretHttpUrl
    """Address to post to."""
    token: APIKey | None = None
    """Bearer token to send."""


class Webhook:
    """Sends one event per notice. Its `id` is the same at every attempt, so that a receiver can recognise a
    repetition; a reminder has an `id` of its own."""

    config_model: ClassVar[type[NotifierConfig]] = CloudEventsConfig
    grouped: ClassVar[bool] = False
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: CloudEventsConfig, context: NotifierContext) -> None:
        self._url, self._context = config.url.get_secret_value(), context
        self._headers = {"Content-Type": "application/cloudevents+json"}
        if config.token is not None:
            self._headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"

    async def send(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            event = cloud_event(notice, self._context.environment, self._context.source)
            await post(self._context.session, self._url, data=json.dumps(event).encode(), headers=self._headers)


def cloud_event(notice: Notice, environment: str, source: str) -> dict[str, object]:
    """Return the notice as a CloudEvent (specification 1.0.2, 2 and the JSON format). A summary contains the events
    that it combines."""
    together = {"events": [cloud_event(part, environment, source) for part in notice.parts]} if notice.parts else {}
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/healthd/{quote(environment, safe='')}/{quote(source, safe='')}",
        "type": f"healthd.{notice.about}.{'firing' if notice.firing else 'over'}",
        "subject": notice.name,
        "time": notice.since.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "environment": environment,
            "standing": notice.standing,
            "reminder": notice.reminds_of is not None,
            "severity": notice.severity.value,
            "summary": notice.summary,
            "detail": notice.detail,
            "facts": dict(notice.facts),
            "labels": dict(notice.labels),
            "link": notice.link,
            "page": notice.page,
            **together,
        },
    }
