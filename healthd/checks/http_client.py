"""One HTTP exchange for a probe: an Answer, or the Result that says why there is none. It judges no answer."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from healthd import __version__
from healthd.checks.certificates import Expiry, expiries
from healthd.checks.charset import decoded
from healthd.checks.connect import Endpoint
from healthd.checks.http_failures import explain_exchange
from healthd.checks.trust import CAFileError, trust
from healthd.model import FailureKind, Result
from healthd.runtime.hosts import tls_name

_LONGEST_LINE = 64 * 1024  # bytes of one header: twice what curl takes of all of them in a line
_USER_AGENT = f"healthd/{__version__}"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. Header values and the URL may hold secrets: none of them goes into a message."""

    url: URL
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: bytes | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.url.host or "", self.url.port or 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `latency` is in seconds, from the start (name resolution and handshake included, unless the
    connection was kept) to the end of the body; `whole` is false when the body went on beyond the limit."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    whole: bool
    latency: float
    expiry: Expiry | None

    @property
    def text(self) -> str:
        """The body in the character set that the header names, a byte order mark shows, or a page says of itself."""
        return decoded(self.body, self.headers.get("Content-Type", ""))


class HttpClient:
    """One session and at most one connection. Redirects are never followed and cookies never kept."""

    def __init__(
        self,
        patience: float,
        *,
        keep_alive: bool = False,
        ca_file: Path | None = None,
        server_name: str | None = None,
        body_limit: int = 2**20,
    ) -> None:
        """`patience` is in seconds, for the whole exchange; `body_limit` in bytes, after decompression."""
        self._patience = patience
        self._keep_alive = keep_alive
        self._ca_file = ca_file
        self._server_name = server_name
        self._body_limit = body_limit
        self._session: aiohttp.ClientSession | None = None
        self._connector: _Connector | None = None

    async def ask(self, request: Request) -> Answer | Result:
        try:
            async with asyncio.timeout(self._patience):
                return await self._exchange(request)
        except CAFileError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except TimeoutError:
            connected = self._connector is not None and self._connector.connected
            late = "did not answer" if connected else "accepted no connection"
            return Result.unhealthy(FailureKind.TIMEOUT, f"{request.endpoint} {late} within {self._patience:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Result.unhealthy(*explain_exchange(error, request.endpoint, self._server_name))

    async def close(self) -> None:
        """Drops the connection at once, without a goodbye."""
        connector, session = self._connector, self._session
        self._connector = self._session = None
        if connector is not None and session is not None:
            session.detach()
            await connector.close(abort_ssl=True)

    async def _exchange(self, request: Request) -> Answer:
        session, connector = self._open()
        connector.connected = False
        start = time.perf_counter()
        async with session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            ssl=trust(self._ca_file),
            server_hostname=tls_name(self._server_name) if self._server_name else None,
        ) as response:
            body, whole = await self._read(response.content)
            return Answer(response.status, response.headers, body, whole, time.perf_counter() - start, connector.expiry)

    async def _read(self, content: aiohttp.StreamReader) -> tuple[bytes, bool]:
        body = bytearray()
        async for piece in content.iter_any():
            body += piece
            if len(body) > self._body_limit:
                return bytes(body[: self._body_limit]), False
        return bytes(body), True

    def _open(self) -> tuple[aiohttp.ClientSession, _Connector]:
        if self._session is None or self._connector is None:
            self._connector = _Connector(
                limit=1,
                force_close=not self._keep_alive,
                use_dns_cache=False,
                # By the event loop's own lookups; the alternative, c-ares, keeps answers for as long as their TTL.
                resolver=aiohttp.ThreadedResolver(),
            )
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": _USER_AGENT},
                max_line_size=_LONGEST_LINE,
                max_field_size=_LONGEST_LINE,
            )
        return self._session, self._connector


class _Connector(aiohttp.TCPConnector):
    """Remembers, of the connection in use, whether it came about and when its certificates expire: by the time that
    a response is there, aiohttp may have given the connection back."""

    connected = False
    expiry: Expiry | None = None

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        self.connected = True
        tls = connection.transport.get_extra_info("ssl_object") if connection.transport else None
        self.expiry = _expiry(tls) if tls is not None else None
        return connection


def _expiry(tls: ssl.SSLObject) -> Expiry | None:
    try:
        ends = expiries(tls, datetime.now(UTC))
    except ValueError:  # trusted by OpenSSL and yet unreadable: only the dates are lost
        return None
    return ends.relied_on if ends is not None else None
