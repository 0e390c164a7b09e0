"""E-mail through SendGrid's v3 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.mail import LONGEST_SUBJECT, Mail, Recipients
from healthd.notifiers.notice import Notice, urgency
from healthd.notifiers.posting import post
from healthd.notifiers.wording import headline, paragraph
from healthd.runtime.credential import APIKey
from healthd.units import HttpAddress


class MailConfig(NotifierConfig):
    kind: Literal["sendgrid"]
    key: APIKey
    """API key with the scope `mail.send`."""
    sender: Mail = Field(alias="from")
    """Verified address of the sender."""
    to: Recipients
    """Recipients of the mail."""
    base_url: HttpAddress = "https://api.sendgrid.com"
    """Address of the API, for another one such as that in the EU."""


class SendGrid:
    """Sends one mail for all notices within `group_wait`."""

    config_model: ClassVar[type[NotifierConfig]] = MailConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: MailConfig, context: NotifierContext) -> None:
        self._config, self._context = config, context

    async def send(self, notices: Sequence[Notice]) -> None:
        text = "\n\n".join(map(paragraph, sorted(notices, key=urgency)))
        mail = {
            "personalizations": [{"to": [{"email": address} for address in self._config.to]}],
            "from": {"email": self._config.sender, "name": "healthd"},
            "subject": headline(notices, self._context.environment)[:LONGEST_SUBJECT],
            "content": [{"type": "text/plain", "value": text}],
            # The links must lead to their real address, not through click tracking.
            "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
        }
        headers = {"Authorization": f"Bearer {self._config.key.get_secret_value()}"}
        url = f"{self._config.base_url.rstrip('/')}/v3/mail/send"
        await post(self._context.session, url, json=mail, headers=headers)
