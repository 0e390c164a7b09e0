"""Slack, and whatever else understands its incoming webhooks (Mattermost, Rocket.Chat)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import SecretStr

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice, Severity
from healthd.notifiers.posting import post
from healthd.notifiers.wording import headline, paragraph

_COLOURS = {Severity.CRITICAL: "#d32f2f", Severity.WARNING: "#f9a825", Severity.INFO: "#388e3c"}
_LONGEST = 2900  # characters of a section, of which Slack takes 3,000
_SHOWN = 20  # attachments, of which Slack takes 100


class SlackConfig(NotifierConfig):
    kind: Literal["slack"]
    url: SecretStr
    """The incoming webhook's address, which is a secret."""


class Slack:
    """One message for all that happened within `wait`."""

    config_model: ClassVar[type[NotifierConfig]] = SlackConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: SlackConfig, context: NotifierContext) -> None:
        self._url, self._context = config.url.get_secret_value(), context

    async def send(self, notices: Sequence[Notice]) -> None:
        text = _escaped(headline(notices, self._context.environment))
        attachments = [_attachment(notice) for notice in notices[:_SHOWN]]
        await post(self._context.session, self._url, json={"text": text, "attachments": attachments})


def _attachment(notice: Notice) -> dict[str, object]:
    colour = _COLOURS[notice.severity if notice.firing else Severity.INFO]
    section = {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(paragraph(notice))[:_LONGEST]}}
    return {"color": colour, "fallback": _escaped(notice.summary), "blocks": [section]}


def _escaped(text: str) -> str:
    """What a dependency says must not become a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
