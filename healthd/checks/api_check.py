"""Common parts of the checks of paid APIs: a key, one cheap call, and the meaning of such an API's refusals."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, StringConstraints
from yarl import URL

from healthd.checks.contract import CheckConfig
from healthd.checks.http_client import Answer, HttpClient, Request
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.retry_after import asked_pause
from healthd.model import FailureKind, Observed, Result
from healthd.runtime.credential import APIKey
from healthd.units import Duration
from healthd.wording import shape


def _base_url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        raise ValueError("is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("is not a URL: write https://host")
    if url.user or url.password or url.query_string:
        raise ValueError("must have neither a user nor a query: it is shown to people")
    return text.rstrip("/")


BaseURL = Annotated[str, AfterValidator(_base_url)]
APIPath = Annotated[
    str, StringConstraints(pattern=shape(r"^/[^\s?#]*$", "a path that begins with a slash, without a query"))
]


class ThirdPartyConfig(CheckConfig):
    """Options of a check of a paid API. Its rate limits are shared with production traffic, hence the long interval."""

    model_config = ConfigDict(hide_input_in_errors=True)

    interval: Duration = 60.0
    timeout: Duration = 10.0
    key: APIKey
    """The API key."""
    base_url: BaseURL
    """Address of the API."""
    path: APIPath
    """Path of the request."""
    ca_file: Path | None = None
    """CA file to trust instead of the system's authorities."""
    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    @property
    def client(self) -> HttpClient:
        return HttpClient(self.patience, ca_file=self.ca_file, proxy=own_proxy(self.proxy))

    def request(self, headers: dict[str, str] | None = None) -> Request:
        key = self.key.get_secret_value()
        return Request(URL(self.base_url + self.path), headers={"Authorization": f"Bearer {key}", **(headers or {})})


def refusal(answer: Answer, now: datetime, observed: Observed) -> Result | None:
    """Return the result for an answer with another status than 200; None for a 200."""

    def unhealthy(kind: FailureKind, text: str) -> Result:
        return Result.unhealthy(kind, f"{text} ({answer.status})", latency=answer.latency, observed=observed)

    def degraded(kind: FailureKind, text: str) -> Result:
        return Result.degraded(
            kind,
            f"{text} ({answer.status})",
            latency=answer.latency,
            observed=observed,
            retry_after=asked_pause(answer, now),
        )

    match answer.status:
        case 200:
            return None
        case 401:
            return unhealthy(FailureKind.AUTH, "the key is not accepted")
        case 403:
            return degraded(FailureKind.PERMISSION, "the key is valid but may not do this")
        case 429:
            return degraded(FailureKind.RATE_LIMITED, "too many requests: production traffic is limited as well")
        case status if status >= 500:
            return unhealthy(FailureKind.UNEXPECTED_RESPONSE, "the API is failing")
    return unhealthy(FailureKind.UNEXPECTED_RESPONSE, "the API answers otherwise than documented")


def json_object(answer: Answer) -> dict[str, Any] | None:
    """Return the body as a JSON object; None when it is anything else."""
    try:
        document = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
