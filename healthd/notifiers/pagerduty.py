"""PagerDuty's Events API v2: an incident for each firing subject, resolved when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice
from healthd.notifiers.posting import post
from healthd.runtime.credential import APIKey
from healthd.units import HttpAddress, is_web_address

_LONGEST_SUMMARY = 1024  # characters


class PagerDutyConfig(NotifierConfig):
    kind: Literal["pagerduty"]
    routing_key: APIKey
    """Integration key of a service with an Events API v2 integration."""
    url: HttpAddress = "https://events.pagerduty.com/v2/enqueue"
    """Address of the API, for another one such as that in the EU."""


class PagerDuty:
    """Sends the same `dedup_key` from every replica, so that a failure that all of them see is one incident."""

    config_model: ClassVar[type[NotifierConfig]] = PagerDutyConfig
    grouped: ClassVar[bool] = False
    keeps_incidents: ClassVar[bool] = True
    repeat: ClassVar[float | None] = None

    def __init__(self, config: PagerDutyConfig, context: NotifierContext) -> None:
        self._config, self._context = config, context

    async def send(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            await post(self._context.session, self._config.url, json=self._event(notice))

    def _event(self, notice: Notice) -> dict[str, object]:
        environment = self._context.environment
        event: dict[str, object] = {
            "routing_key": self._config.routing_key.get_secret_value(),
            "event_action": "trigger" if notice.firing else "resolve",
            "dedup_key": f"healthd:{environment}:{notice.key}",
        }
        if not notice.firing:
            return event
        leads = notice.link is not None and is_web_address(notice.link)
        text = {} if leads or notice.link is None else {"runbook or deploy": notice.link}
        return event | {
            "client": "healthd",
            **({"client_url": notice.page} if notice.page else {}),
            "links": [{"href": notice.link, "text": "Runbook or deploy"}] if leads else [],
            "payload": {
                "summary": f"[{environment}] {notice.summary}"[:_LONGEST_SUMMARY],
                "source": notice.facts.get("host", environment),
                "severity": notice.severity.value,
                "timestamp": notice.since.isoformat(),
                "component": notice.name,
                "group": environment,
                "class": notice.about,
                "custom_details": {"detail": notice.detail, "standing": notice.standing, **text, **notice.told_facts},
            },
        }
