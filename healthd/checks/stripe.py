"""Stripe: is the key accepted, and is it the kind of key that this environment should have?"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from healthd.checks.api_check import APIPath, BaseURL, ThirdPartyConfig, json_object, refusal
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.http_client import Answer
from healthd.model import FailureKind, JSONScalar, Result
from healthd.wording import shape

Mode = Literal["live", "test"]
_ORGANIZATION, _NO_KEY = "sk_org", "no secret key of Stripe"


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
    context: str | None = Field(
        None,
        pattern=shape(
            r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", "an account, such as acct_1032D82eZvKYlo2C, or a path of them"
        ),
    )
    """Account that the key is to be used for, sent as `Stripe-Context`; a key of an organization needs one."""

    @model_validator(mode="after")
    def _organization_names_an_account(self) -> Self:
        """Stripe answers no request of an organization's key without both headers."""
        lacking = [name for name in ("context", "api_version") if getattr(self, name) is None]
        if self.key.get_secret_value().startswith(_ORGANIZATION) and lacking:
            raise ValueError(
                f"the key is one of an organization ({_ORGANIZATION}…), which needs {' and '.join(lacking)}: "
                "the account, such as acct_…, and a version, such as 2025-06-30.basil"
            )
        return self


class Stripe:
    """Reads the balance without showing it, and reports live or test mode from the key's prefix."""

    config_model: ClassVar[type[CheckConfig]] = StripeConfig

    def __init__(self, config: StripeConfig, context: CheckContext) -> None:
        self._wanted = config.mode
        self._mode, self._restricted = _read_prefix(config.key)
        self._clock = context.clock
        self._client = config.client
        headers = {"Stripe-Version": config.api_version, "Stripe-Context": config.context}
        self._request = config.request({name: value for name, value in headers.items() if value is not None})

    async def probe(self) -> Result:
        if self._wanted is not None and self._mode != self._wanted:
            unknown = "an organization's, which does not tell its mode" if self._restricted is None else _NO_KEY
            is_one = f"a {self._mode} key" if self._mode else unknown
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


def _read_prefix(key: SecretStr) -> tuple[Mode | None, bool | None]:
    """Return the mode, and whether the key is a restricted one, None if it does not tell: `sk_live_…`, `rk_test_…`,
    `sk_org_live_…`."""
    kind, _, rest = key.get_secret_value().partition("_")
    of_organization = key.get_secret_value().startswith(_ORGANIZATION)
    mode, _, _ = rest.removeprefix("org_").partition("_")
    if kind not in ("sk", "rk"):
        return None, False
    restricted = None if of_organization else kind == "rk"  # which have one prefix, whatever they may do
    return ("live" if mode == "live" else "test" if mode == "test" else None), restricted
