"""Slack, and other services that accept its incoming webhooks (Mattermost, Rocket.Chat)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice, Severity, urgency
from healthd.notifiers.posting import post
from healthd.notifiers.wording import headline, paragraph, word
from healthd.runtime.web_address import SecretHttpUrl

_COLOURS = {Severity.CRITICAL: "#d32f2f", Severity.WARNING: "#f9a825", Severity.INFO: "#388e3c"}
_LONGEST = 2900  # characters of a section; Slack's limit is 3,000
_SHOWN = 20  # attachments; Slack's limit is 100
_LISTED, _LONGEST_LINE = 20, 140  # of notices not shown in full: lines of an attachment, characters of a line


class SlackConfig(NotifierConfig):
    kind: Literal["slack"]
    url: SecretHttpUrl
    """Address of the incoming webhook, which is a secret."""


class Slack:
    """Sends one message for all notices within `group_wait`."""

    config_model: ClassVar[type[NotifierConfig]] = SlackConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: SlackConfig, context: NotifierContext) -> None:
        self._url, self._context = config.url.get_secret_value(), context

    async def send(self, notices: Sequence[Notice]) -> None:
        text = _escaped(headline(notices, self._context.environment))
        worst_first = sorted(notices, key=urgency)
        attachments = [_attachment(notice) for notice in worst_first[:_SHOWN]]
        attachments += [_list(part) for part in _batches(worst_first[_SHOWN:])]
        await post(self._context.session, self._url, json={"text": text, "attachments": attachments})


def _attachment(notice: Notice) -> dict[str, object]:
    colour = _COLOURS[notice.severity if notice.firing else Severity.INFO]
    section = {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(paragraph(notice))[:_LONGEST]}}
    return {"color": colour, "fallback": _escaped(notice.summary), "blocks": [section]}


def _batches(notices: Sequence[Notice]) -> Iterator[Sequence[Notice]]:
    for start in range(0, len(notices), _LISTED):
        yield notices[start : start + _LISTED]


def _list(notices: Sequence[Notice]) -> dict[str, object]:
    """List the notices that are not shown in full, one per line."""
    worst = notices[0]
    colour = _COLOURS[worst.severity if worst.firing else Severity.INFO]
    lines = "\n".join(_escaped(f"{word(notice)}: {notice.summary}"[:_LONGEST_LINE]) for notice in notices)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": lines[:_LONGEST]}}
    return {"color": colour, "fallback": _escaped(f"{len(notices)} more"), "blocks": [section]}


def _escaped(text: str) -> str:
    """Escape a text: a dependency's message must not become a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
