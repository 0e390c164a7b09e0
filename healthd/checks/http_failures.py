"""Map exceptions of an HTTP exchange to a failure kind and a line for people.

The lines hold nothing that the peer sent, except the host of a redirect; and nothing of the URL except host and port.
"""

from __future__ import annotations

import ssl

from healthd.checks.connect import Endpoint
from healthd.checks.http_connection import HandshakeError
from healthd.checks.http_response import BrokenOffError, EncodingError, ExchangeError, HungUpError, OtherHTTPError
from healthd.checks.tls_failures import client_refused
from healthd.checks.trust import explain_distrust
from healthd.model import FailureKind

_HTTP2 = "speaks HTTP/2 alone, and this check HTTP/1.1: ask another port, or check this one with tcp or tls"


def explain_exchange(error: ExchangeError, endpoint: Endpoint) -> tuple[FailureKind, str]:
    match error:
        case OtherHTTPError():
            return FailureKind.UNEXPECTED_RESPONSE, f"{endpoint} {_HTTP2}"
        case HungUpError() if (refused := client_refused(error.__cause__)) is not None:
            return FailureKind.TLS, f"{endpoint} {refused}"
        case HungUpError():
            return FailureKind.CONNECT, f"{endpoint} closed the connection before it answered"
        case BrokenOffError():
            return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} broke off"
        case EncodingError(asked_for=False):
            return FailureKind.UNEXPECTED_RESPONSE, f"{endpoint} answered in a content encoding that was not asked for"
        case EncodingError():
            wrong = "is not in the content encoding that it names, or not to its end"
            return FailureKind.UNEXPECTED_RESPONSE, f"the body of the answer of {endpoint} {wrong}"
    return FailureKind.UNEXPECTED_RESPONSE, f"the answer of {endpoint} is not valid HTTP"


def explain_handshake(
    error: HandshakeError, endpoint: Endpoint, server_name: str | None = None
) -> tuple[FailureKind, str]:
    """Explain a failed handshake; `server_name` is the expected name of the certificate, where it is not the endpoint's
    host."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return explain_distrust(cause, server_name or endpoint.host)
    if (refused := client_refused(cause)) is not None:
        return FailureKind.TLS, f"{endpoint} {refused}"
    if "NO_APPLICATION_PROTOCOL" in str(getattr(cause, "reason", None)):
        return FailureKind.TLS, f"{endpoint} {_HTTP2}"
    reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None) or type(cause).__name__
    return FailureKind.TLS, f"{endpoint} completes no TLS handshake: {reason}"
