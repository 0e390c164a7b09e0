"""Service of WebSocket (RFC 6455): it shakes hands, and answers behind the handshake, which a proxy may have made."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Annotated, ClassVar, Literal, Self

import aiohttp
from pydantic import ConfigDict, Field, SecretStr, StringConstraints, model_validator
from yarl import URL

from healthd.checks.certificates import expiries
from healthd.checks.client_tls import ClientTLS
from healthd.checks.connect import Endpoint
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.failures import classify
from healthd.checks.http_address import (
    HeaderName,
    HeaderValue,
    WebSocketURL,
    require_one_authorization,
    split_login,
)
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.retry_after import LONGEST
from healthd.checks.trust import CAFileError, trust
from healthd.checks.unreachable import why_unreached
from healthd.checks.websocket_peer import ClosedError, MessageExpectation, NotFittingError, Peer
from healthd.http.retry_after import seconds_to_wait
from healthd.http.session import new_session
from healthd.model import FailureKind, JSONScalar, Result
from healthd.runtime.hosts import tls_name
from healthd.wording import shape

_MOST_BYTES = 2**20  # of a message
_GOODBYE = 0.5  # seconds to wait for the answer to our close, which changes nothing
_BY_STATUS = {401: FailureKind.AUTH, 403: FailureKind.PERMISSION, 429: FailureKind.RATE_LIMITED}
_Subprotocol = Annotated[
    # A header's pattern has the words of a header: this one is the same, written in another way.
    str, StringConstraints(pattern=shape(r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", "the name of a subprotocol, such as mqtt"))
]


class WebSocketConfig(CheckConfig, ClientTLS):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["websocket"] = "websocket"
    url: WebSocketURL
    """`ws://` or `wss://`; a user and password in it are sent as basic authentication."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers to send with the handshake, such as `Origin`; their values are secret."""
    subprotocols: tuple[_Subprotocol, ...] = Field((), max_length=20)
    """Subprotocols to offer, of which the server must choose one."""
    send: SecretStr | None = None
    """Text message to send first; it is secret."""
    expect: MessageExpectation | None = None
    """Expectations of a message, the answer to `send` or the server's own; messages before it are passed over."""

    proxy: ProxyOption | None = None
    """Proxy of a `wss://` instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_one_authorization(self.url, self.headers)
        if self.send is not None and self.expect is None:
            raise ValueError("send without expect: say what the answer must contain")
        if self.proxy is not None and URL(self.url.get_secret_value()).scheme == "ws":
            raise ValueError("proxy is for wss://: ws:// is reached directly")
        if given := [name for name in self.headers if name.lower().startswith("sec-websocket-")]:
            raise ValueError(f"{given[0]} is a header of the protocol's own; subprotocols are an option")
        return self


class WebSocket:
    """Shakes hands over a new connection, and waits for a message or, where none is expected, the answer to a ping."""

    config_model: ClassVar[type[CheckConfig]] = WebSocketConfig

    def __init__(self, config: WebSocketConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._url, login = split_login(config.url)
        self._headers = {name: value.get_secret_value() for name, value in config.headers.items()} | login
        self._endpoint = Endpoint(self._url.host or "", self._url.port or 0)
        self._session: aiohttp.ClientSession | None = None
        self._waits_for = ""

    async def probe(self) -> Result:
        patience = self._config.patience
        self._waits_for = "did not shake hands"
        try:
            async with asyncio.timeout(patience):
                return await self._look()
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, f"{self._endpoint} {self._waits_for} within {patience:g} s")
        except aiohttp.WSServerHandshakeError as error:
            return self._no_handshake(error)
        except _RedirectError as error:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"{self._endpoint} redirects ({error.status})")
        except (ClosedError, NotFittingError) as error:
            return Result.unhealthy(error.kind, f"{self._endpoint} {error}")
        except CAFileError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except (aiohttp.ClientError, OSError) as error:
            kind = classify(error)
            if kind is FailureKind.INTERNAL:
                kind = FailureKind.UNEXPECTED_RESPONSE
            return Result.unhealthy(kind, why_unreached(error, self._endpoint))
        finally:
            await self.close()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None and (connector := session.connector) is not None:
            session.detach()
            await connector.close(abort_ssl=True)

    async def _look(self) -> Result:
        config = self._config
        start = time.perf_counter()
        session = self._session = new_session(
            trust(config.ca_file, config.client), traces=[_NO_REDIRECTS], proxy=own_proxy(config.proxy)
        )
        name = tls_name(config.server_name) if config.server_name else None
        socket = await session.ws_connect(
            self._url,
            headers=self._headers,
            protocols=config.subprotocols,
            server_hostname=name if self._url.scheme == "wss" else None,
            max_msg_size=_MOST_BYTES,
            autoping=False,
            autoclose=False,
        )
        observed: dict[str, JSONScalar | list[str]] = {}
        now = self._clock.now()
        if (tls := socket.get_extra_info("ssl_object")) is not None and (ends := expiries(tls, now)) is not None:
            observed |= ends.relied_on.observed(now)
        if config.subprotocols:
            observed["subprotocol"] = socket.protocol
            if socket.protocol is None:
                text = f"{self._endpoint} chooses none of the subprotocols {', '.join(config.subprotocols)}"
                return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, observed=observed)
        await self._exchange(Peer(socket))
        latency = time.perf_counter() - start
        with suppress(OSError, aiohttp.ClientError):  # TimeoutError is an OSError
            async with asyncio.timeout(_GOODBYE):
                await socket.close()
        return Result.healthy(latency=latency, observed=observed)

    async def _exchange(self, peer: Peer) -> None:
        """Return when the peer has answered. Raises ClosedError and NotFittingError."""
        if self._config.expect is None:
            self._waits_for = "shook hands, and did not answer a ping"
            await peer.answers_ping()
            return
        self._waits_for = "shook hands, and did not send what is expected"
        if self._config.send is not None:
            await peer.send(self._config.send.get_secret_value())
        await peer.sends(self._config.expect)

    def _no_handshake(self, error: aiohttp.WSServerHandshakeError) -> Result:
        if error.status == 101:
            text = f"{self._endpoint} breaks the rules of the handshake: {error.message.lower()}"
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text)
        kind = _BY_STATUS.get(error.status, FailureKind.UNEXPECTED_RESPONSE)
        pause = seconds_to_wait(error.headers or {}, self._clock.now()) if error.status == 429 else None
        text = f"{self._endpoint} answers the handshake with {error.status}, not 101"
        return Result.unhealthy(kind, text, retry_after=None if pause is None else min(pause, LONGEST))


class _RedirectError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def _refuse(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, step: aiohttp.TraceRequestRedirectParams
) -> None:
    raise _RedirectError(step.response.status)


_NO_REDIRECTS = aiohttp.TraceConfig()
"""Ends a handshake that is redirected: aiohttp would send the headers, which are secret, to wherever that leads."""
_NO_REDIRECTS.on_request_redirect.append(_refuse)
