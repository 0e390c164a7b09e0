"""Stripe: is the key accepted, and is it the kind of key that this environment should have?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from healthd.checks.api_check import APIPath, BaseURL, ThirdPartyConfig, json_object, refusal
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.http_client import Answer
from healthd.model import FailureKind, JSONScalar, Result
from healthd.wording import shape

Mode = Literal["live", "test"]


class StripeConfig(ThirdPartyConfig):
    kind: Literal["stripe"] = "stripe"
    base_url: BaseURL = "https://api.stripe.com"
    """Address of the API."""
    path: APIPath = "/v1/balance"
    """Path of the request; restricted keys may not read `/v1/account`."""
    api_version: str | None = Field(
        None, pattern=shape(r"^[0-9A-Za-z.-]+$", "a version of the API, such as 2024-06-20")
    )
    """Version of the API to ask for."""
    mode: Mode | None = None
    """Mode that the key must have: `live` or `test`."""


class Stripe:
    """Reads the balance without showing it, and reports live or test mode from the key's prefix."""

    config_model: ClassVar[type[CheckConfig]] = StripeConfig

    def __init__(self, config: StripeConfig, context: CheckContext) -> None:
        self._wanted = config.mode
        self._mode, self._restricted = _read_prefix(config.key)
        self._clock = context.clock
        self._client = config.client
        self._request = config.request({"Stripe-Version": config.api_version} if config.api_version else None)

    async def probe(self) -> Result:
        if self._wanted is not None and self._mode != self._wanted:
            is_one = f"a {self._mode} key" if self._mode else "no secret key of Stripe"
            return Result.unhealthy(FailureKind.MISCONFIGURED, f"the key is {is_one}, not a {self._wanted} key")
        answer = await self._client.ask(self._request)
        return self._judge(answer) if isinstance(answer, Answer) else answer

    async def close(self) -> None:
        await self._client.close()

    def _judge(self, answer: Answer) -> Result:
        observed: dict[str, JSONScalar | list[str]] = {
            "statusCode": answer.status,
            "mode": self._mode,
            "restricted": self._restricted,
        }
        if refused := refusal(answer, self._clock.now(), observed):
            return refused
        document = json_object(answer)
        if document is None or "object" not in document:  # every object of the API has a member `object`
            malformed = "the answer is not an object of the Stripe API"
            return Result.unhealthy(
                FailureKind.UNEXPECTED_RESPONSE, malformed, latency=answer.latency, observed=observed
            )
        return Result.healthy(latency=answer.latency, observed=observed)


def _read_prefix(key: SecretStr) -> tuple[Mode | None, bool]:
    """Return the mode, and whether the key is a restricted one: `sk_live_…`, `rk_test_…`."""
    kind, _, rest = key.get_secret_value().partition("_")
    mode, _, _ = rest.partition("_")
    if kind not in ("sk", "rk"):
        return None, False
    return ("live" if mode == "live" else "test" if mode == "test" else None), kind == "rk"
