"""Certificates of a TLS connection: which one expires next, and when. Whether they are trusted is decided in
`trust`."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from healthd.model import Observed

_RENEWED, _LATEST_RENEWAL = 1 / 5, timedelta(days=30)
_EMERGENCY, _LATEST_EMERGENCY = 1 / 20, timedelta(days=7)
_DER = 2  # ENCODING_DER of the `_ssl` module

time.strptime("1", "%S")  # imports what reads dates now rather than at the first of a certificate, in the event loop


@dataclass(frozen=True, slots=True)
class Expiry:
    """Expiry of one certificate, and its whole validity, from its first day to its last."""

    at: datetime
    subject: str
    lifetime: timedelta

    def left(self, now: datetime) -> timedelta:
        """Return the time until it expires; negative when it has expired."""
        return self.at - now

    @property
    def renewal(self) -> timedelta:
        """Time left at which it should have been renewed: a fifth of its lifetime, at most a month."""
        return min(_LATEST_RENEWAL, self.lifetime * _RENEWED)

    @property
    def emergency(self) -> timedelta:
        """Time left at which it becomes an emergency: a twentieth of its lifetime, at most a week."""
        return min(_LATEST_EMERGENCY, self.lifetime * _EMERGENCY)

    def observed(self, now: datetime) -> Observed:
        day = timedelta(days=1)
        return {
            "certificateExpires": self.at.isoformat(),
            "certificateDaysLeft": round(self.left(now) / day, 1),
            "certificateLifetimeDays": round(self.lifetime / day, 1),
        }


@dataclass(frozen=True, slots=True)
class Expiries:
    """Expiries of the certificates in use: the one that expires next, or is furthest past its renewal; and one that is
    presented for others and ends sooner, where there is one."""

    relied_on: Expiry
    unneeded: Expiry | None


def expiries(tls: ssl.SSLObject | ssl.SSLSocket, now: datetime) -> Expiries | None:
    """Return the expiries over the verified path with its root; over all certificates presented where the handshake was
    not verified; None for a connection without certificates. Raises ValueError for a certificate that cannot be
    read."""
    verified, presented = _chain(tls, verified=True), _chain(tls, verified=False)
    relied_on = [_expiry(certificate) for certificate in (verified or presented).values()]
    if not relied_on:
        return None
    nearest = min(relied_on, key=lambda expiry: (expiry.left(now) - expiry.renewal, expiry.at))
    unneeded = [_expiry(certificate) for der, certificate in presented.items() if der not in (verified or presented)]
    sooner = [expiry for expiry in unneeded if expiry.at < nearest.at]
    return Expiries(nearest, min(sooner, key=lambda expiry: expiry.at, default=None))


def _chain(tls: ssl.SSLObject | ssl.SSLSocket, *, verified: bool) -> dict[bytes, Any]:
    """Return OpenSSL's own certificates, by their DER. Python 3.13 has a method for it that gives the DER alone; the
    one below exists in all versions."""
    method = "get_verified_chain" if verified else "get_unverified_chain"
    certificates = getattr(tls._sslobj, method)() or ()  # type: ignore[union-attr]
    return {certificate.public_bytes(_DER): certificate for certificate in certificates}


def _expiry(certificate: Any) -> Expiry:
    """Return expiry and name of a certificate as OpenSSL reads it. A stricter parser refuses some that OpenSSL trusts,
    such as a name with letters that its type does not allow: old appliances have such, and the dates are what
    matters."""
    told = certificate.get_info()
    begins, ends = (ssl.cert_time_to_seconds(told[key]) for key in ("notBefore", "notAfter"))
    return Expiry(datetime.fromtimestamp(ends, UTC), _name(told), timedelta(seconds=ends - begins))


def _name(told: dict[str, Any]) -> str:
    """Return its common name; without one, as authorities leave it out by now, the first name that it is valid for."""
    subject = [(key, value) for part in told.get("subject", ()) for key, value in part]
    common = (value for key, value in subject if key == "commonName")
    valid_for = (str(value).strip() for _, value in told.get("subjectAltName", ()))
    rest = (f"{key}={value}" for key, value in subject)
    return next(common, None) or next(valid_for, None) or ",".join(rest) or "without a name"
