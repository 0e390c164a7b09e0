"""HTTP for sources: credentials and TLS from the configuration, bounded answers, and every failure as
SourceUnavailable. Each source decides what to request and what the answer means.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from pydantic import Field, SecretStr, model_validator
from yarl import URL

from healthd.checks.failures import classify, explain_late
from healthd.checks.http_address import HeaderName, HeaderValue
from healthd.checks.oauth2 import OAuth2, TokenError, Tokens
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.unreachable import brief
from healthd.config.model import Model
from healthd.http.session import new_session
from healthd.model import FailureKind
from healthd.runtime.credential import APIKey
from healthd.units import Size
from healthd_gates.sources.contract import SourceConfig, SourceUnavailable

K = TypeVar("K")
T = TypeVar("T")
Params = Mapping[str, str] | Sequence[tuple[str, str]] | None
"""Query behind the `?` of an address; a name may stand there several times."""
_PIECE = 65_536
STATUS_KINDS = {
    401: FailureKind.AUTH,
    403: FailureKind.PERMISSION,
    429: FailureKind.RATE_LIMITED,
    504: FailureKind.TIMEOUT,
}


class Tls(Model):
    """Verification of an `https` address, and the client certificate."""

    ca: Path | None = None
    """The authorities to trust, instead of the system's: a PEM file."""
    certificate: Path | None = None
    """The certificate to show: a PEM file."""
    key: Path | None = None
    """The key of the certificate: a PEM file."""
    server_name: str | None = None
    """The name that the server's certificate must have, if not that of the address."""
    verify: bool = True
    """True if the server's certificate is verified."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("key needs the certificate that it belongs to")
        return self

    def context(self) -> ssl.SSLContext:
        """Return one context for all that have the same options, as each takes 80 ms to make and holds a megabyte;
        changed files are read again. Raises OSError or ssl.SSLError."""
        changed = tuple(path.stat().st_mtime_ns for path in (self.ca, self.certificate, self.key) if path is not None)
        return _context(self.ca, self.certificate, self.key, self.verify, changed)


@lru_cache(maxsize=64)
def _context(
    ca: Path | None, certificate: Path | None, key: Path | None, verify: bool, _changed: tuple[int, ...]
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class Basic(Model):
    """A name and a password."""

    username: str
    """The user's name."""
    password: SecretStr
    """The password."""


class DirectHttpConfig(SourceConfig):
    """The options of a source that sends HTTP to the targets themselves."""

    bearer: APIKey | None = None
    """A bearer token."""
    basic: Basic | None = None
    """A name and a password for basic authentication."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers to send with every request, such as a tenant's id."""
    tls: Tls = Tls()
    """Verification of an https address, and the client certificate."""
    max_size: Size = 64 * 1024**2
    """The longest answer that is read, after decompression."""

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.bearer is not None and self.basic is not None:
            raise ValueError("bearer and basic are two ways to say who asks: give one")
        return self

    def sent_headers(self) -> dict[str, str]:
        """Return the headers, with the secrets in plain text."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer.get_secret_value()}"
        if self.basic is not None:
            login = f"{self.basic.username}:{self.basic.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        return headers


class HttpConfig(DirectHttpConfig):
    """The options of a source that asks a server by HTTP."""

    oauth2: OAuth2 | None = None
    """Client credentials of OAuth 2.0, whose token is sent as Authorization."""
    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    @model_validator(mode="after")
    def _token_or_login(self) -> Self:
        if self.oauth2 is not None and any(name.lower() == "authorization" for name in self.sent_headers()):
            raise ValueError("oauth2 sends Authorization: leave bearer, basic, and that header, out")
        return self


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as received, decompressed."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_page(self) -> bool:
        """True of a page for people: nothing that is asked for numbers answers so."""
        return self.content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


class Endpoint:
    """One gate's connections to the addresses that its source requests."""

    def __init__(self, config: HttpConfig, redact: Callable[[str], str]) -> None:
        self._config, self._redact = config, redact
        self._session: aiohttp.ClientSession | None = None
        proxy = own_proxy(config.proxy)
        self._tokens = Tokens.of(config.oauth2, config.timeout / 2, proxy)
        self._cut_off: str | None = None  # what the latest look was waiting for when its time was over

    async def get(self, url: str, params: Params = None, accept: str = "*/*", body: Any = None) -> Answer:
        """Return the answer, whatever its status, within the configured timeout and size; with a body, which is sent as
        JSON, to a POST. Raises SourceUnavailable."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._config.timeout):
                return await self._authorized(url, params, accept, body)
        except TokenError as error:
            raise self.unavailable(error.kind, str(error)) from error
        except asyncio.CancelledError:
            waited = asyncio.get_running_loop().time() - began
            _, self._cut_off = explain_late(f"{place_of(url)} did not answer within {waited:.2g} s")
            raise
        except TimeoutError as error:
            kind, self._cut_off = explain_late(f"{place_of(url)} did not answer within {self._config.timeout:g} s")
            raise self.unavailable(kind, self._cut_off) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.unavailable(_kind(error), f"{place_of(url)}: {brief(error, url)}") from error

    @asynccontextmanager
    async def one_look(self) -> AsyncIterator[None]:
        """Limit all requests of one evaluation together to the configured timeout. Raises SourceUnavailable."""
        self._cut_off = None
        try:
            async with asyncio.timeout(self._config.timeout):
                yield
        except TimeoutError as error:
            message = f"one look took longer than the {self._config.timeout:g} s of its timeout"
            if self._cut_off is not None:
                message = f"{self._cut_off}, and {message}"
            raise self.unavailable(explain_late(message)[0], message) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._tokens is not None:
            await self._tokens.close()

    def unavailable(self, kind: FailureKind, message: str) -> SourceUnavailable:
        return SourceUnavailable(
            kind, self._redact(self._tokens.mask(message) if self._tokens is not None else message)
        )

    def refuse_status(self, url: str, answer: Answer) -> None:
        """Check the status. Raises SourceUnavailable for anything but a 2xx."""
        if 200 <= answer.status < 300:
            return
        text = f"{place_of(url)} answered {answer.status}"
        if 300 <= answer.status < 400:
            text += ": redirects are not followed, configure the address that it leads to"
            raise self.unavailable(FailureKind.MISCONFIGURED, text)
        raise self.unavailable(STATUS_KINDS.get(answer.status, FailureKind.UNEXPECTED_RESPONSE), text)

    async def _authorized(self, url: str, params: Params, accept: str, sent: Any) -> Answer:
        if self._tokens is None:
            return await self._get(url, params, {"Accept": accept}, sent)

        def get(authorization: str) -> Awaitable[Answer]:
            return self._get(url, params, {"Accept": accept, "Authorization": authorization}, sent)

        return await self._tokens.authorized(get, lambda answer: answer.status)

    async def _get(self, url: str, params: Params, headers: Mapping[str, str], sent: Any) -> Answer:
        session = self._session or await self._open()
        tls = self._config.tls
        async with session.request(
            "GET" if sent is None else "POST",
            url,
            params=params,
            json=sent,
            headers=headers,
            allow_redirects=False,
            server_hostname=tls.server_name,
        ) as response:
            body = bytearray()
            async for piece in response.content.iter_chunked(_PIECE):
                body += piece
                if len(body) > self._config.max_size:
                    raise self.unavailable(
                        FailureKind.UNEXPECTED_RESPONSE,
                        f"{place_of(url)} sent more than max_size, {self._config.max_size} bytes",
                    )
            return Answer(response.status, response.headers.get("Content-Type", ""), bytes(body), response.headers)

    async def _open(self) -> aiohttp.ClientSession:
        context = await asyncio.to_thread(self._config.tls.context)
        if self._session is None:  # another request may have been faster
            self._session = new_session(
                context, headers=self._config.sent_headers(), connections=20, proxy=own_proxy(self._config.proxy)
            )
        return self._session


async def all_of(work: Mapping[K, Coroutine[Any, Any, T]]) -> dict[K, T]:
    """Run all at once; the first failure cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(each) for key, each in work.items()}
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {key: task.result() for key, task in tasks.items()}


def _kind(error: Exception) -> FailureKind:
    known = classify(error)
    if known is not FailureKind.INTERNAL:
        return known
    match error:
        case aiohttp.InvalidURL():
            return FailureKind.MISCONFIGURED
        case aiohttp.ClientConnectionError():
            return FailureKind.CONNECT
    return FailureKind.UNEXPECTED_RESPONSE


def place_of(url: str) -> str:
    """Return scheme, host and path: no user, no query."""
    return str(URL(url).with_user(None).with_query(None)) if "://" in url else url
