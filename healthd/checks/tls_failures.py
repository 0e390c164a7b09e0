"""Explain in words why a connection with TLS was not established."""

from __future__ import annotations

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
