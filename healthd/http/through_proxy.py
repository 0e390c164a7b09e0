"""Requests of an aiohttp session through the proxy of the way in force, and the failures that are the proxy's own."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp import hdrs
from yarl import URL

from healthd.http.outgoing import Proxy
from healthd.runtime.lookups import going_through

_LOGIN_REQUIRED = 407


class ProxyError(aiohttp.ClientConnectorError):
    """The proxy did not lead to the target, which has heard nothing: `cause` where it was not reached itself, else the
    `status` of its answer; neither where that is no HTTP."""

    def __init__(
        self, request: aiohttp.ClientRequest, proxy: Proxy, *, cause: OSError | None = None, status: int | None = None
    ) -> None:
        super().__init__(request.connection_key, cause or ConnectionRefusedError())
        self.proxy, self.cause, self.status = proxy, cause, status

    def __str__(self) -> str:
        if self.cause is not None:
            return f"the proxy {self.proxy}: {self.cause.strerror or type(self.cause).__name__}"
        return f"the proxy {self.proxy}: {self.status or 'no HTTP'}"


class UnusableProxyError(aiohttp.ClientError):
    """The environment names a proxy that healthd cannot use; the message says how to write one."""


class ThroughProxy:
    """Middleware of a session: a request without a proxy gets the one for its address."""

    def __init__(self, proxy_to: Callable[[URL], Proxy | None]) -> None:
        """`proxy_to` returns the proxy for an address, None for a direct way."""
        self._proxy_to = proxy_to

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # For ws:// a tunnel would be needed too (RFC 6455, 4.1), which aiohttp makes for wss:// alone.
        is_free = request.proxy is None and request.url.scheme != "ws"
        try:
            proxy = self._proxy_to(request.url) if is_free else None
        except ValueError as error:
            raise UnusableProxyError(str(error)) from None
        going_through(str(proxy or ""))
        if proxy is None:
            return await handler(request)
        if request.is_ssl():
            request.update_proxy(proxy.url, None, proxy.headers)
        else:
            request.update_proxy(proxy.url, None, None)
            request.headers.update(proxy.headers)
        try:
            response = await handler(request)
        except aiohttp.ClientHttpProxyError as error:
            raise ProxyError(request, proxy, status=error.status) from None
        except aiohttp.ClientResponseError as error:
            if request.is_ssl() and error.request_info.method != hdrs.METH_CONNECT:  # within the tunnel
                raise
            raise ProxyError(request, proxy) from None
        except aiohttp.ClientProxyConnectionError as error:
            raise ProxyError(request, proxy, cause=error.os_error) from error
        except aiohttp.ClientConnectorDNSError as error:  # the target's name is looked up by the proxy
            raise ProxyError(request, proxy, cause=error.os_error) from error
        if response.status == _LOGIN_REQUIRED and not request.is_ssl():
            response.close()
            raise ProxyError(request, proxy, status=_LOGIN_REQUIRED)
        return response
