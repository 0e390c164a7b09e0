"""Explain in words why an HTTP call got no answer."""

from __future__ import annotations

import ssl

import aiohttp
from yarl import URL

from healthd.checks.connect import Endpoint, explain
from healthd.checks.failures import describe, explain_late
from healthd.checks.proxy_failures import explain_proxy
from healthd.checks.tls_failures import is_no_tls
from healthd.checks.trust import explain_distrust
from healthd.http.through_proxy import ProxyError, UnusableProxyError
from healthd.runtime.deadline import DeadlineExceededError

_CONNECTION = (aiohttp.ClientConnectionError, OSError)


def why_unreached(error: Exception, endpoint: Endpoint) -> str:
    """Return the reason without the full address, which aiohttp tends to quote."""
    match error:
        case ProxyError():
            return explain_proxy(error.proxy, endpoint, error.cause, error.status)[1]
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            return _no_handshake(cause, endpoint)
        case aiohttp.ClientConnectorError(os_error=cause):
            return why_unreached(cause, endpoint)
        case ssl.SSLError():
            return _no_handshake(error, endpoint)
        case TimeoutError(errno=None):
            return explain_late(f"no answer of {endpoint} in time")[1]
        case aiohttp.ServerDisconnectedError():
            return f"{endpoint} closed the connection"
        case OSError():
            return explain(error, endpoint)[1]
    return f"{endpoint} does not speak HTTP: {type(error).__name__}"


def brief(error: Exception, url: str) -> str:
    """Return one line about a failed HTTP call: what is wrong with the connection, or the error itself."""
    if isinstance(error, aiohttp.InvalidURL):
        return "its address is not one"
    if isinstance(error, UnusableProxyError):
        return str(error)
    return why_unreached(error, _endpoint(URL(url))) if isinstance(error, _CONNECTION) else describe(error)


def brief_of_any(error: Exception) -> str:
    """Return `brief` for an error of one of several calls: aiohttp's own of a connection know host and port."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        return why_unreached(error, Endpoint(str(error.host), error.port or 0))
    return describe(error)


def _no_handshake(error: Exception, endpoint: Endpoint) -> str:
    """Return why TLS was not agreed on, without the codes and source lines of OpenSSL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS with {endpoint} failed: {explain_distrust(error, endpoint.host)[1]}"
    reason = getattr(error, "reason", None) or "no handshake"
    if is_no_tls(error):
        return f"{endpoint} does not speak TLS"
    return f"TLS with {endpoint} failed: {reason.lower().replace('_', ' ')}"


def why_not_asked(error: Exception, url: str, seconds: float | None) -> str:
    """Return why a daemon at `url` gave no answer, and what may be wrong with the address; `seconds` is the timeout."""
    address = URL(url)
    other = "http" if address.scheme == "https" else "https"
    match error:
        case DeadlineExceededError() | UnusableProxyError():
            return str(error)
        case ProxyError():
            return why_unreached(error, _endpoint(address))
        case TimeoutError():
            return explain_late(f"no answer within {seconds:g} s")[1]
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
