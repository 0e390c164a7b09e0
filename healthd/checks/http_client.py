"""HTTP exchange of a probe: returns an Answer, or the Result that explains why there is none. It judges no answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from multidict import CIMultiDictProxy
from yarl import URL

from healthd.checks.certificates import Expiry
from healthd.checks.charset import decoded
from healthd.checks.connect import Endpoint, explain
from healthd.checks.http_connection import Connection, HandshakeError, ProxyFailedError, open_connection
from healthd.checks.http_failures import explain_exchange, explain_handshake
from healthd.checks.http_redirects import RedirectError, is_same_host, next_request
from healthd.checks.http_request import Request as Request
from healthd.checks.http_response import BrokenOffError, ExchangeError, HungUpError, Response
from healthd.checks.proxy_failures import explain_proxy
from healthd.checks.trust import CAFileError, ClientCertificate, trust
from healthd.http.outgoing import Proxy, proxy_to
from healthd.model import FailureKind, Result

_LOGIN_REQUIRED = 407
_REPEATABLE = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a server. `latency` is in seconds, from the start (name resolution and handshake included, unless the
    connection was kept) to the end of the body; `whole` is false when the body exceeded the limit."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    whole: bool
    latency: float
    expiry: Expiry | None
    relay: Proxy | None = None
    """Proxy that passed the answer on, or gave it itself."""

    @property
    def text(self) -> str:
        """Body in the character set that the header names, a byte order mark shows, or a page declares."""
        return decoded(self.body, self.headers.get("Content-Type", ""))


class HttpClient:
    """HTTP client with at most one connection. Cookies are never kept; redirects are followed only up to
    `follow_redirects`."""

    def __init__(
        self,
        patience: float,
        *,
        keep_alive: bool = False,
        ca_file: Path | None = None,
        server_name: str | None = None,
        client: ClientCertificate | None = None,
        body_limit: int = 2**20,
        follow_redirects: int = 0,
        proxy: str | None = None,
    ) -> None:
        """Create a client. `patience` is in seconds, for the whole exchange; `body_limit` in bytes, after
        decompression; `follow_redirects` is the maximum number of redirects; `proxy` an address, or `none`, instead of
        the way in force."""
        self._patience, self._keep_alive, self._body_limit = patience, keep_alive, body_limit
        self._ca_file, self._server_name, self._redirects = ca_file, server_name, follow_redirects
        self._client, self._proxy = client, proxy
        self._kept: tuple[Place, Connection] | None = None
        self._is_connected = False
        self._expiry: Expiry | None = None
        self._written: tuple[Request, Proxy | None, bytes] | None = None

    async def ask(self, request: Request) -> Answer | Result:
        asked, start = request, time.perf_counter()
        try:
            async with asyncio.timeout(self._patience):
                for _ in range(self._redirects + 1):
                    place = self._place(asked.url, request.url)
                    response = await self._exchange(asked, place)
                    status, headers = response.message.code, response.message.headers
                    if status == _LOGIN_REQUIRED and place.relay is not None:
                        raise ProxyFailedError(place.relay, status)
                    following = next_request(asked, status, headers.get("Location")) if self._redirects else None
                    if following is None:
                        latency = time.perf_counter() - start
                        body, whole = bytes(response.body), response.whole
                        return Answer(status, headers, body, whole, latency, self._expiry, place.relay)
                    asked = following
                raise RedirectError(f"redirects more than {self._redirects} times")
        except CAFileError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except RedirectError as error:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"{asked.endpoint} {error}")
        except ExchangeError as error:
            kind, said = explain_exchange(error, asked.endpoint)
            by = f", through the proxy {relay}" if (relay := self._place(asked.url, request.url).relay) else ""
            return Result.unhealthy(kind, f"{said}{by}")
        except TimeoutError as error:
            if error.errno is not None:  # TCP itself has timed out
                return Result.unhealthy(*explain(error, asked.endpoint))
            late = "did not answer" if self._is_connected else "accepted no connection"
            by = f" through the proxy {proxy}" if (proxy := proxy_to(asked.url, self._proxy)) is not None else ""
            return Result.unhealthy(FailureKind.TIMEOUT, f"{asked.endpoint} {late} within {self._patience:g} s{by}")
        except ProxyFailedError as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else None
            return Result.unhealthy(*explain_proxy(error.proxy, asked.endpoint, cause, error.status))
        except HandshakeError as error:
            return Result.unhealthy(*explain_handshake(error, asked.endpoint, self._server_name))
        except OSError as error:
            return Result.unhealthy(*explain(error, asked.endpoint))

    async def close(self) -> None:
        """Drop the connection at once, without a goodbye."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def _place(self, url: URL, configured: URL) -> Place:
        """Return the place to connect to; only the configured host gets the configured server name for TLS, and sees
        the client's certificate."""
        is_own = is_same_host(configured, url)
        endpoint = Endpoint(url.host or "", url.port or 0)
        return Place(
            endpoint,
            url.scheme == "https",
            self._server_name if is_own else None,
            self._client if is_own else None,
            proxy_to(url, self._proxy),
        )

    async def _exchange(self, request: Request, place: Place) -> Response:
        """Send over the kept connection, or a new one. Raises ExchangeError, HandshakeError, OSError and
        CAFileError."""
        if (connection := self._take_kept(place)) is not None:
            try:
                return await self._over(connection, request, place)
            except HungUpError:  # its keep-alive time may have ended just then
                if request.method not in _REPEATABLE:
                    raise
        self._is_connected = False
        tls = trust(self._ca_file, place.client) if place.is_tls or self._ca_file is not None else None
        connection = await open_connection(
            place.endpoint, tls if place.is_tls else None, place.server_name, place.proxy
        )
        return await self._over(connection, request, place)

    async def _over(self, connection: Connection, request: Request, place: Place) -> Response:
        self._is_connected, self._expiry = True, connection.expiry
        response, is_kept = Response(request.method, self._body_limit, asyncio.get_running_loop()), False
        try:
            is_sent = await exchange(connection, self._bytes_of(request, place.relay), response)
            is_kept = self._keep_alive and is_sent and response.keeps_alive
        finally:
            if is_kept:
                self._kept = place, connection
            else:
                connection.close()
        return response

    def _take_kept(self, place: Place) -> Connection | None:
        if self._kept is None:
            return None
        (led_to, connection), self._kept = self._kept, None
        if led_to == place and connection.is_idle():
            return connection
        connection.close()
        return None

    def _bytes_of(self, request: Request, relay: Proxy | None) -> bytes:
        if self._written is None or self._written[0] is not request or self._written[1] != relay:
            self._written = request, relay, request.to_bytes(keep_alive=self._keep_alive, relay=relay)
        return self._written[2]


@dataclass(frozen=True, slots=True)
class Place:
    """Destination of a connection."""

    endpoint: Endpoint
    is_tls: bool
    server_name: str | None
    client: ClientCertificate | None = None
    proxy: Proxy | None = None

    @property
    def relay(self) -> Proxy | None:
        """Proxy that passes the request on itself, rather than a connection with TLS."""
        return None if self.is_tls else self.proxy


async def exchange(connection: Connection, request: bytes, response: Response) -> bool:
    """Send the request and read the response. Return true if all was sent. Raises ExchangeError."""
    is_sent = False
    with suppress(OSError):  # it may have answered before it closed the connection
        is_sent = await connection.send(request)
    try:
        while not response.is_over:
            response.feed(await connection.receive())
    except OSError as error:
        raise (BrokenOffError if response.has_begun else HungUpError) from error
    return is_sent
