"""Sentry: a message for each notice, in the project of its own DSN. Errors of the daemon itself go by `healthd.sentry`.

The SDK sends from a thread and does not report the delivery; so that a Sentry that is down is noticed, its envelope is
made by the SDK and posted here. The SDK is imported only when used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, SecretStr

from healthd import __version__
from healthd.notifiers.contract import NotifierConfig, NotifierContext
from healthd.notifiers.notice import Notice, Severity
from healthd.notifiers.posting import post

if TYPE_CHECKING:
    from sentry_sdk.types import Event

_LEVELS: dict[Severity, Literal["error", "warning", "info"]] = {
    Severity.CRITICAL: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
}


def _dsn(value: SecretStr) -> SecretStr:
    from sentry_sdk.utils import BadDsn, Dsn

    try:
        Dsn(value.get_secret_value())
    except BadDsn:
        raise ValueError("is not a DSN: copy it from the project's settings, Client Keys") from None
    return value


class SentryMessagesConfig(NotifierConfig):
    kind: Literal["sentry"]
    dsn: Annotated[SecretStr, AfterValidator(_dsn)]
    """DSN of the project."""


class Sentry:
    """Groups messages about one subject into one issue (`fingerprint`)."""

    config_model: ClassVar[type[NotifierConfig]] = SentryMessagesConfig
    grouped: ClassVar[bool] = False
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: SentryMessagesConfig, context: NotifierContext) -> None:
        from sentry_sdk.utils import Dsn

        self._context = context
        auth = Dsn(config.dsn.get_secret_value()).to_auth(f"healthd/{__version__}")
        self._url = auth.get_api_url()
        self._headers = {"X-Sentry-Auth": auth.to_header(), "Content-Type": "application/x-sentry-envelope"}

    async def send(self, notices: Sequence[Notice]) -> None:
        from sentry_sdk.envelope import Envelope

        for notice in notices:
            event = self._event(notice)
            envelope = Envelope(headers={"event_id": event["event_id"]})
            envelope.add_event(cast("Event", event))
            await post(self._context.session, self._url, data=envelope.serialize(), headers=self._headers)

    def _event(self, notice: Notice) -> dict[str, Any]:
        return {
            "event_id": hashlib.sha256(notice.id.encode()).hexdigest()[:32],  # the same at every attempt
            "timestamp": notice.since.isoformat(),
            "platform": "python",
            "logger": "healthd.notifiers",
            "level": _LEVELS[notice.severity],
            "environment": self._context.environment,
            "server_name": self._context.source,
            "release": f"healthd@{__version__}",
            "logentry": {"message": notice.summary},
            "fingerprint": ["healthd", self._context.environment, notice.key],
            "tags": {"about": notice.about, "subject": notice.name, "standing": notice.standing},
            "extra": {"detail": notice.detail, **notice.told_facts},
        }
