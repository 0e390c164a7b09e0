"""Answers of RDAP, for a `Peer` that stands for IANA's list of servers and for a registry.

Facts of the originals that they keep: the list is `services`, pairs of suffixes and addresses (RFC 9224, 3; IANA's
own is at data.iana.org/rdap/dns.json); a domain is asked for at `domain/NAME` below an address (RFC 9082, 3.1.3) with
`Accept: application/rdap+json` (RFC 7480, 4.2); its object has `ldhName`, `status` by the names of RFC 8056 and
`events` with an `eventAction` and an `eventDate` (RFC 9083, 4.5 and 5.3); one that is not registered is 404 (RFC
7480, 5.3), too many questions are 429 with Retry-After (5.5), and a server may send its client on (5.2). No registry
was ever asked.
"""

from datetime import datetime
from typing import Any


def bootstrap(*services: tuple[list[str], list[str]]) -> dict[str, Any]:
    """A list of servers."""
    return {
        "description": "RDAP bootstrap file for Domain Name System registrations",
        "publication": "2026-11-20T20:00:01Z",
        "services": [list(service) for service in services],
        "version": "1.0",
    }


def domain(name: str, *, expires: datetime | None, statuses: tuple[str, ...] = ("active",)) -> dict[str, Any]:
    """A registry's object of a domain."""
    events = [{"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"}]
    if expires is not None:
        events.append({"eventAction": "expiration", "eventDate": expires.isoformat().replace("+00:00", "Z")})
    events.append({"eventAction": "last update of RDAP database", "eventDate": "2026-11-27T08:00:00Z"})
    return {
        "objectClassName": "domain",
        "handle": "2336799_DOMAIN_COM-VRSN",
        "ldhName": name.upper(),
        "status": list(statuses),
        "events": events,
        "rdapConformance": ["rdap_level_0"],
    }
