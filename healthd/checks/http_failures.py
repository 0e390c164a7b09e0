"""Why an HTTP exchange by aiohttp failed: its exceptions → a failure kind and a line for people.

The lines hold nothing that the peer said, and nothing of the URL but host and port.
"""

from __future__ import annotations

import ssl

import aiohttp

from healthd.checks.connect import Endpoint, explain
from healthd.checks.failures import classify
from healthd.checks.trust import explain_distrust
from healthd.model import FailureKind


def explain_exchange(
    error: BaseException, endpoint: Endpoint, server_name: str | None = None
) -> tuple[FailureKind, str]:
    """`server_name` is the name that the certificate was to be for, where it is not the endpoint's host."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as cause):
            return explain_distrust(cause, server_name or endpoint.host)
        case aiohttp.ClientConnectorSSLError():
            return FailureKind.TLS, f"{endpoint} completes no TLS handshake: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorError():
            return explain(error.os_error, endpoint)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return FailureKind.CONNECT, f"{endpoint} closed the connection before it answered"
        case aiohttp.ClientPayloadError():
            return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} broke off"
        case aiohttp.ClientResponseError() if "content-encoding" in str(error).lower():
            return FailureKind.UNEXPECTED_RESPONSE, f"{endpoint} answered in a content encoding that was not asked for"
        case aiohttp.ClientResponseError():
            return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} is not valid HTTP"
    return classify(error), f"no answer from {endpoint}: {type(error).__name__}"


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
