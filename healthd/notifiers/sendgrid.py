"""E-mail through SendGrid's v3 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice, urgency
from healthd.notifiers.posting import post
from healthd.notifiers.wording import headline, paragraph
from healthd.units import HttpAddress
from healthd.wording import shape

Mail = Annotated[str, StringConstraints(pattern=shape(r"^[^@\s]+@[^@\s]+$", "a mail address"), max_length=254)]
LONGEST_SUBJECT = 200  # characters


def several(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


def once_each(mails: tuple[str, ...]) -> tuple[str, ...]:
    """SendGrid refuses a mail with the same recipient twice, whatever their case."""
    known: set[str] = set()
    for mail in mails:
        if mail.lower() in known:
            raise ValueError(f"{mail} stands there twice: a recipient gets one mail")
        known.add(mail.lower())
    return mails


class MailConfig(NotifierConfig):
    kind: Literal["sendgrid"]
    key: SecretStr
    """API key with the scope `mail.send`."""
    sender: Mail = Field(alias="from")
    """Verified address of the sender."""
    to: Annotated[
        tuple[Mail, ...],
        BeforeValidator(several, json_schema_input_type=Mail | tuple[Mail, ...]),
        AfterValidator(once_each),
    ] = Field(min_length=1)
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
