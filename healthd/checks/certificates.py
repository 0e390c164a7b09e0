"""The certificates of a TLS connection: which one expires first, and when. Whether they are trusted is in `trust`."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from healthd.model import Observed

_DER = 2  # ENCODING_DER of the `_ssl` module


@dataclass(frozen=True, slots=True)
class Expiry:
    """The certificate of a chain that expires first. `relied_on` says whether the verified path goes through it: a
    server may present others, by which other clients may find their path."""

    at: datetime
    subject: str
    relied_on: bool

    def left(self, now: datetime) -> timedelta:
        """The time until it expires; negative when it has."""
        return self.at - now

    def observed(self, now: datetime) -> Observed:
        days = self.left(now) / timedelta(days=1)
        return {"certificateExpires": self.at.isoformat(), "certificateDaysLeft": round(days, 1)}


def first_to_expire(tls: ssl.SSLObject) -> Expiry | None:
    """Over the presented chain and, where the handshake was verified, the trusted root as well; None for a
    connection without certificates. Raises ValueError for a certificate that cannot be read."""
    verified = {der: _read(der) for der in _chain(tls, verified=True)}
    presented = {der: _read(der) for der in _chain(tls, verified=False)}
    relied_on = verified or presented
    ends = [Expiry(c.not_valid_after_utc, _name(c), der in relied_on) for der, c in {**presented, **verified}.items()]
    return min(ends, key=lambda end: end.at, default=None)


def _chain(tls: ssl.SSLObject, *, verified: bool) -> Iterable[bytes]:
    """The chain in DER. Python 3.13 has a method for it; 3.11 and 3.12, which change no more, have the same one
    a layer below."""
    method = "get_verified_chain" if verified else "get_unverified_chain"
    if hasattr(tls, method):
        return list(getattr(tls, method)() or ())
    certificates = getattr(tls._sslobj, method)() or ()  # type: ignore[attr-defined]
    return [certificate.public_bytes(_DER) for certificate in certificates]


def _read(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string() or "without a name"
