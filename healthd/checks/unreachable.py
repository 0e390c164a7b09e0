"""Explain in words why an HTTP call got no answer."""

from __future__ import annotations

import aiohttp
from yarl import URL

from healthd.checks.connect import Endpoint, explain


def why_unreached(error: Exception, endpoint: Endpoint) -> str:
    """Return the reason without the full address, which aiohttp tends to quote."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"TLS with {endpoint} failed: {error.__cause__ or type(error).__name__}"
        case aiohttp.ClientConnectorError():
            return explain(error.os_error, endpoint)[1]
        case aiohttp.ServerDisconnectedError():
            return f"{endpoint} closed the connection"
        case OSError():
            return explain(error, endpoint)[1]
    return f"{endpoint} does not speak HTTP: {type(error).__name__}"


def why_not_asked(error: Exception, url: str, seconds: float | None) -> str:
    """Return why a daemon at `url` gave no answer, and what may be wrong with the address; `seconds` is the timeout."""
    address = URL(url)
    other = "http" if address.scheme == "https" else "https"
    match error:
        case TimeoutError():
            return f"no answer within {seconds:g} s"
        case aiohttp.ClientConnectorCertificateError():
            return str(why_unreached(error, _endpoint(address)))
        case aiohttp.ClientConnectorSSLError():
            return f"it does not speak TLS; is it {other}://{address.authority}?"
        case aiohttp.ClientResponseError() | aiohttp.ServerDisconnectedError():
            return f"it does not speak HTTP; is it {other}://{address.authority}, or another port?"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "nobody listens there: is the daemon running, and is this its port?"
    return why_unreached(error, _endpoint(address))


def _endpoint(address: URL) -> Endpoint:
    return Endpoint(address.host or "", address.port or 0)
