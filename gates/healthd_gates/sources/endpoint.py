"""HTTP for sources: credentials and TLS from `http_options`, bounded answers, and every failure as SourceUnavailable.
Each source decides what to request and what the answer means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from healthd.checks.connect import UNREACHABLE
from healthd.checks.failures import classify, explain_late
from healthd.checks.oauth2 import TokenError, Tokens
from healthd.checks.unreachable import brief
from healthd.http.outgoing import relayed
from healthd.http.session import new_session
from healthd.http.through_proxy import ProxyError
from healthd.model import FailureKind
from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.http_options import HttpConfig

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
        self._tokens = Tokens.of(config.oauth2, config.timeout / 2)
        self._cut_off: str | None = None  # what the latest look was waiting for when its time was over

    async def get(self, url: str, params: Params = None, accept: str = "*/*", body: Any = None) -> Answer:
        """Return the answer, whatever its status, within the configured timeout and size; with a body, which is sent as
        JSON, to a POST. Raises SourceUnavailable."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._config.timeout):
                return await self._authorized(url, params, accept, body)
        except TokenError as error:
            raise self.unavailable(error.kind, str(error), on_the_way=True) from error
        except asyncio.CancelledError:
            waited = asyncio.get_running_loop().time() - began
            _, self._cut_off = explain_late(f"{place_of(url)} did not answer within {waited:.2g} s")
            raise
        except TimeoutError as error:
            kind, self._cut_off = explain_late(f"{place_of(url)} did not answer within {self._config.timeout:g} s")
            raise self._unanswered(kind, self._cut_off) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text, is_proxys = f"{place_of(url)}: {brief(error, url)}", isinstance(error, ProxyError)
            raise self._unanswered(_kind(error), text, on_the_way=is_proxys, is_refused=_is_refused(error)) from error

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
            raise self._unanswered(explain_late(message)[0], message) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._tokens is not None:
            await self._tokens.close()

    def unavailable(
        self,
        kind: FailureKind,
        message: str,
        *,
        on_the_way: bool = False,
        is_refused: bool = False,
        unanswered: bool = False,
    ) -> SourceUnavailable:
        """Return the outage; it is `unanswered` where the address gave no numbers at all, whatever they would have said
        of the candidate."""
        plain = self._tokens.mask(message) if self._tokens is not None else message
        unasked = unanswered and self._config.is_apart
        return SourceUnavailable(
            kind, self._redact(plain), on_the_way=on_the_way, is_refused=is_refused, unasked=unasked
        )

    def _unanswered(
        self, kind: FailureKind, message: str, *, on_the_way: bool = False, is_refused: bool = False
    ) -> SourceUnavailable:
        return self.unavailable(kind, message, on_the_way=on_the_way, is_refused=is_refused, unanswered=True)

    def answered(self, url: str, answer: Answer) -> str:
        """Return who answered with which status, perhaps a proxy itself."""
        return f"{place_of(url)} answered {answer.status}{relayed(URL(url), self._config.own_way)}"

    def refuse_status(self, url: str, answer: Answer) -> None:
        """Check the status. Raises SourceUnavailable for anything but a 2xx."""
        if 200 <= answer.status < 300:
            return
        text = self.answered(url, answer)
        if 300 <= answer.status < 400:
            text += ": redirects are not followed, configure the address that it leads to"
            raise self._unanswered(FailureKind.MISCONFIGURED, text)
        raise self._unanswered(STATUS_KINDS.get(answer.status, FailureKind.UNEXPECTED_RESPONSE), text)

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
                context, headers=self._config.sent_headers(), connections=20, proxy=self._config.own_way
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


def _is_refused(error: Exception) -> bool:
    """True if nobody took the connection, and no fault of the network between kept it away."""
    return (
        isinstance(error, aiohttp.ClientConnectorError)
        and not isinstance(error, ProxyError)
        and classify(error) is FailureKind.CONNECT
        and error.errno not in UNREACHABLE
    )


def place_of(url: str) -> str:
    """Return scheme, host and path: no user, no query."""
    return str(URL(url).with_user(None).with_query(None)) if "://" in url else url
