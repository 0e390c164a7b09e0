"""Registration of a domain by RDAP: which server to ask (RFC 9224), and what its answer means (RFC 9083). No I/O
here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_EXPIRIES = ("expiration", "registrar expiration")


class NotRDAPError(Exception):
    """The document is none of RDAP's; the text says what is wrong with it, to be put after its name."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Registration of a domain: when it ends, None where that is not told, and its statuses in lower case."""

    expires: datetime | None
    statuses: frozenset[str]


def server_of(domain: str, bootstrap: Any) -> str | None:
    """Return the address of the server for a domain, HTTPS before HTTP, by the list of the longest suffix; None if no
    list has one. Raises NotRDAPError."""
    found: dict[str, str] = {}
    try:
        for suffixes, addresses in bootstrap["services"]:
            best = sorted((str(address) for address in addresses), key=lambda each: not each.startswith("https:"))
            if best:
                found |= {str(suffix).lower(): best[0] for suffix in suffixes}
    except (TypeError, ValueError, LookupError):
        raise NotRDAPError("is no list of RDAP servers as IANA publishes it") from None
    labels = domain.split(".")
    suffixes = (".".join(labels[start:]) for start in range(len(labels)))
    return next((found[suffix] for suffix in suffixes if suffix in found), None)


def registration_in(document: Any, domain: str) -> Registration:
    """Return what an answer says about a domain. Raises NotRDAPError."""
    if not isinstance(document, Mapping) or document.get("objectClassName") != "domain":
        raise NotRDAPError("is not about a domain")
    name = str(document.get("ldhName", domain)).lower().removesuffix(".")
    if name != domain:
        raise NotRDAPError("is about another domain")
    statuses = document.get("status") or []
    if not isinstance(statuses, list):
        raise NotRDAPError("has statuses that are no list")
    return Registration(
        min(_expiries(document.get("events")), default=None), frozenset(str(status).lower() for status in statuses)
    )


def _expiries(events: Any) -> Iterator[datetime]:
    for event in events if isinstance(events, list) else ():
        if isinstance(event, Mapping) and str(event.get("eventAction", "")).lower() in _EXPIRIES:
            try:
                moment = datetime.fromisoformat(str(event.get("eventDate")))
                yield moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            except (ValueError, OverflowError):
                raise NotRDAPError("has a date that is none") from None
