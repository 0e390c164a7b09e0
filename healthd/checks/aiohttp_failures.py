"""Map errors of an HTTP client to a failure kind and a line for people."""

from __future__ import annotations

import ssl

import aiohttp

from healthd.checks.connect import Endpoint, explain
from healthd.checks.failures import classify
from healthd.checks.proxy_failures import explain_proxy
from healthd.checks.trust import explain_distrust
from healthd.http.through_proxy import ProxyError
from healthd.model import FailureKind


def explain_aiohttp(error: BaseException, endpoint: Endpoint) -> tuple[FailureKind, str]:
    """Return failure kind and message of an error of aiohttp."""
    match error:
        case ProxyError():
            return explain_proxy(error.proxy, endpoint, error.cause, error.status)
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as cause):
            return explain_distrust(cause, endpoint.host)
        case aiohttp.ClientConnectorSSLError(os_error=cause):
            reason = getattr(cause, "reason", None) or cause.strerror or type(cause).__name__
            return FailureKind.TLS, f"{endpoint} completes no TLS handshake: {reason}"
        case aiohttp.ClientConnectorError():
            return explain(error.os_error, endpoint)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return FailureKind.CONNECT, f"{endpoint} closed the connection before it answered"
        case aiohttp.ClientPayloadError():
            return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} broke off"
        case aiohttp.ClientResponseError():
            return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} is not valid HTTP"
    return classify(error), f"no answer from {endpoint}: {type(error).__name__}"
