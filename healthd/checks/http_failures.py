"""Map exceptions of an HTTP exchange to a failure kind and a line for people.

The lines hold nothing that the peer sent, except the host of a redirect; and nothing of the URL except host and port.
"""

from __future__ import annotations

import re
import ssl

from healthd.checks.connect import Endpoint
from healthd.checks.http_connection import HandshakeError
from healthd.checks.http_response import BrokenOffError, EncodingError, ExchangeError, HungUpError, OtherHTTPError
from healthd.checks.trust import explain_distrust
from healthd.model import FailureKind

_HTTP2 = "speaks HTTP/2 alone, and this check HTTP/1.1: ask another port, or check this one with tcp or tls"


def explain_exchange(error: ExchangeError, endpoint: Endpoint) -> tuple[FailureKind, str]:
    match error:
        case OtherHTTPError():
            return FailureKind.UNEXPECTED_RESPONSE, f"{endpoint} {_HTTP2}"
        case HungUpError() if (refused := _client_refused(error.__cause__)) is not None:
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
    if (refused := _client_refused(cause)) is not None:
        return FailureKind.TLS, f"{endpoint} {refused}"
    if "NO_APPLICATION_PROTOCOL" in str(getattr(cause, "reason", None)):
        return FailureKind.TLS, f"{endpoint} {_HTTP2}"
    reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None) or type(cause).__name__
    return FailureKind.TLS, f"{endpoint} completes no TLS handshake: {reason}"


_CLIENT_REFUSED = re.compile(r"ALERT_(?P<why>CERTIFICATE_\w+|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA)$")
"""The alerts of a peer about the client's certificate, by OpenSSL's names; TLS 1.3 sends them after the handshake."""


def _client_refused(cause: BaseException | None) -> str | None:
    """Return what a peer says of the client's certificate, None if it says nothing."""
    found = _CLIENT_REFUSED.search(str(getattr(cause, "reason", None)))
    if found is None:
        return None
    if found["why"] == "CERTIFICATE_REQUIRED":
        return "asks for a client's certificate: client_certificate names one"
    return f"does not accept the client's certificate: {found['why'].lower().replace('_', ' ')}"
