"""SendGrid: is the key accepted, and may it send mail? No mail is ever sent to find out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from healthd.checks.api_check import APIPath, BaseURL, ThirdPartyConfig, json_object, refusal
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.http_client import Answer
from healthd.model import FailureKind, Observed, Result
from healthd.units import Duration

_SCOPES = "/v3/scopes"


class SendGridConfig(ThirdPartyConfig):
    kind: Literal["sendgrid"] = "sendgrid"
    base_url: BaseURL = "https://api.sendgrid.com"
    """Address of the API."""
    path: APIPath = _SCOPES
    """Path of the request; another path than that of the scopes only tells whether the key is accepted."""
    scopes: tuple[str, ...] = ("mail.send",)
    """Scopes that the key must have."""
    back_off: Duration = 300.0
    """Pause after a 403 before the next probe; it can be a temporary block that more requests prolong."""


class SendGrid:
    """Reads the key's scopes and looks for the required ones. On another path than that of the scopes it only sees
    whether the key is accepted."""

    config_model: ClassVar[type[CheckConfig]] = SendGridConfig

    def __init__(self, config: SendGridConfig, context: CheckContext) -> None:
        self._back_off = config.back_off
        self._wanted = config.scopes if config.path == _SCOPES else ()
        self._clock = context.clock
        self._client = config.client
        self._request = config.request()

    async def probe(self) -> Result:
        answer = await self._client.ask(self._request)
        return self._judge(answer) if isinstance(answer, Answer) else answer

    async def close(self) -> None:
        await self._client.close()

    def _judge(self, answer: Answer) -> Result:
        observed: Observed = {"statusCode": answer.status}
        if refused := refusal(answer, self._clock.now(), observed):
            if refused.kind is FailureKind.PERMISSION:
                return replace(refused, retry_after=refused.retry_after or self._back_off)
            return refused
        document = json_object(answer)
        scopes: Any = (document or {}).get("scopes")
        if document is None or (self._wanted and not isinstance(scopes, list)):
            malformed = "the answer is not an object of the SendGrid API"
            return Result.unhealthy(
                FailureKind.UNEXPECTED_RESPONSE, malformed, latency=answer.latency, observed=observed
            )
        missing = [scope for scope in self._wanted if scope not in scopes]
        if missing:
            lacking = f"the key lacks the scope {', '.join(missing)}"
            return Result.degraded(FailureKind.PERMISSION, lacking, latency=answer.latency, observed=observed)
        return Result.healthy(latency=answer.latency, observed=observed)
