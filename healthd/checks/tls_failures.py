"""Explain in words why a connection with TLS was not established."""

from __future__ import annotations

import re
import ssl

from healthd.checks.connect import Endpoint, explain
from healthd.checks.trust import CAFileError, explain_distrust
from healthd.model import FailureKind

TLS_FAILURES: tuple[type[Exception], ...] = (OSError, CAFileError)


def explain_tls(error: Exception, endpoint: Endpoint, server_name: str) -> tuple[FailureKind, str]:
    """Return the failure kind and a line for people, for one of TLS_FAILURES."""
    match error:
        case CAFileError():
            return FailureKind.MISCONFIGURED, str(error)
        case ssl.SSLCertVerificationError():
            return explain_distrust(error, server_name)
        case ssl.SSLError():
            reason = error.reason or type(error).__name__
            return FailureKind.TLS, f"{endpoint} completes no TLS handshake: {reason}"
    assert isinstance(error, OSError)
    return explain(error, endpoint)


_CLIENT_REFUSED = re.compile(r"ALERT_(?P<why>CERTIFICATE_\w+|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA)$")
"""The alerts of a peer about the client's certificate, by OpenSSL's names; TLS 1.3 sends them after the handshake."""


def client_refused(cause: BaseException | None) -> str | None:
    """Return what a peer says of the client's certificate, None if it says nothing."""
    found = _CLIENT_REFUSED.search(str(getattr(cause, "reason", None)))
    if found is None:
        return None
    if found["why"] == "CERTIFICATE_REQUIRED":
        return "asks for a client's certificate: client_certificate names one"
    return f"does not accept the client's certificate: {found['why'].lower().replace('_', ' ')}"


_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
"""Words of OpenSSL's releases for an answer that is no TLS, by its names of reasons (sslerr.h)."""


def is_no_tls(error: BaseException | None) -> bool:
    """True if the peer answered a handshake with what is no TLS."""
    return getattr(error, "reason", None) in _NO_TLS
