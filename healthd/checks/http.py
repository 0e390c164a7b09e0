"""Any HTTP service: sends one request and compares the answer with the expectations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, SecretStr, StringConstraints, model_validator

from healthd.checks.client_tls import ClientTLS
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.expectations import AnswerExpectation
from healthd.checks.http_address import HeaderName, HeaderValue, HttpURL, require_one_authorization, split_login
from healthd.checks.http_client import Answer, HttpClient, Request
from healthd.checks.oauth2 import OAuth2, TokenError, Tokens
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.retry_after import asked_pause
from healthd.model import FailureKind, JSONScalar, Result
from healthd.units import Size, show_duration
from healthd.wording import shape


class RequestConfig(CheckConfig, ClientTLS):
    """Options of the request, the connection and the expectations."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: HttpURL
    """`http://` or `https://`; a user and password in it are sent as basic authentication."""
    method: Annotated[str, StringConstraints(pattern=shape(r"^[A-Z]+$", "a method in capitals, such as GET"))] = "GET"
    """Method of the request."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers to send; their values are secret."""
    body: SecretStr | None = None
    """Body to send; it is secret."""
    expect: AnswerExpectation = AnswerExpectation()
    """Expectations of the answer."""
    keep_alive: bool = False
    """True to keep the connection; otherwise each probe also checks DNS, TCP and TLS."""
    body_limit: Size = Field(2**20, ge=1)
    """Maximum size of the body that is read."""
    follow_redirects: int = Field(0, ge=0, le=20)
    """Maximum number of redirects that are followed; to another host neither headers nor body are sent."""

    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    oauth2: OAuth2 | None = None
    """Client credentials of OAuth 2.0, whose token is sent as Authorization."""

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        require_one_authorization(self.url, self.headers, has_token=self.oauth2 is not None)
        return self

    @property
    def request(self) -> Request:
        url, login = split_login(self.url)
        return Request(
            url=url,
            method=self.method,
            headers={name: value.get_secret_value() for name, value in self.headers.items()} | login,
            body=self.body.get_secret_value().encode() if self.body is not None else None,
        )


class HttpConfig(RequestConfig):
    kind: Literal["http"] = "http"


class Http:
    """Sends each request over a new connection, unless `keep_alive` is set, and judges the answer."""

    config_model: ClassVar[type[CheckConfig]] = HttpConfig

    def __init__(self, config: RequestConfig, context: CheckContext) -> None:
        self._expect = config.expect
        self._clock = context.clock
        self._request = config.request
        self._client = HttpClient(
            config.patience,
            keep_alive=config.keep_alive,
            ca_file=config.ca_file,
            server_name=config.server_name,
            client=config.client,
            body_limit=config.body_limit,
            follow_redirects=config.follow_redirects,
            proxy=own_proxy(config.proxy),
        )

        self._tokens = Tokens.of(config.oauth2, config.patience)

    async def probe(self) -> Result:
        try:
            answer = await self._ask()
        except TokenError as error:
            return Result.unhealthy(error.kind, str(error), retry_after=error.pause)
        if not isinstance(answer, Answer):
            return answer
        if self._expect.has_patterns:  # a search lets threads run, but not the loop that waits for it
            return await asyncio.to_thread(self._judge, answer)
        return self._judge(answer)

    async def close(self) -> None:
        await self._client.close()
        if self._tokens is not None:
            await self._tokens.close()

    async def _ask(self) -> Answer | Result:
        """Return the answer, or why there is none. Raises TokenError."""
        if self._tokens is None:
            return await self._client.ask(self._request)

        def ask(authorization: str) -> Awaitable[Answer | Result]:
            headers = {**(self._request.headers or {}), "Authorization": authorization}
            return self._client.ask(replace(self._request, headers=headers))

        return await self._tokens.authorized(ask, lambda told: told.status if isinstance(told, Answer) else None)

    def _judge(self, answer: Answer) -> Result:
        now = self._clock.now()
        observed: dict[str, JSONScalar | list[str]] = {"statusCode": answer.status}
        if answer.expiry is not None:
            observed |= answer.expiry.observed(now)
        failures = self._expect.failures(answer)
        if failures:
            by = f", through the proxy {answer.relay}" if answer.relay is not None else ""
            return Result.unhealthy(
                failures[0][0],
                "; ".join(message for _, message in failures) + by,
                latency=answer.latency,
                observed=observed,
                retry_after=asked_pause(answer, now) if answer.status == 429 else None,
            )
        limit = self._expect.latency
        if limit is not None and answer.latency > limit:
            slow = f"answered after {show_duration(round(answer.latency, 3))}, later than {show_duration(limit)}"
            return Result.degraded(FailureKind.THRESHOLD, slow, latency=answer.latency, observed=observed)
        return Result.healthy(latency=answer.latency, observed=observed)
