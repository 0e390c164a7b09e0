"""What a peer does not like about the client is said."""

import ssl

import pytest

from healthd.checks.connect import Endpoint
from healthd.checks.http_connection import HandshakeError
from healthd.checks.http_failures import explain_exchange, explain_handshake
from healthd.checks.http_response import HungUpError
from healthd.model import FailureKind

SHOP = Endpoint("shop", 443)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "shop:443 asks for a client's certificate: client_certificate names one"),
        ("TLSV1_ALERT_UNKNOWN_CA", "shop:443 does not accept the client's certificate: unknown ca"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "shop:443 does not accept the client's certificate: certificate expired"),
    ],
)
def test_a_client_that_is_refused(reason: str, told: str) -> None:
    """In the handshake as TLS 1.2 has it, and after it as TLS 1.3 does."""
    cause = ssl.SSLError()
    cause.reason = reason
    after, within = HungUpError(), HandshakeError()
    after.__cause__ = within.__cause__ = cause
    assert explain_exchange(after, SHOP) == (FailureKind.TLS, told)
    assert explain_handshake(within, SHOP) == (FailureKind.TLS, told)


def test_a_peer_that_hangs_up_for_another_reason() -> None:
    """It is not said that a certificate would help."""
    error = HungUpError()
    error.__cause__ = ConnectionResetError()
    assert explain_exchange(error, SHOP) == (FailureKind.CONNECT, "shop:443 closed the connection before it answered")
