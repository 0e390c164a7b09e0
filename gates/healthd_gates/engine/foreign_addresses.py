"""Addresses that a caller switches to, beside those that the service has here: a deploy file of another environment may
name this one's service. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from healthd_gates.config.service import Service
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.sources.endpoint import place_of


def foreign_addresses(switched: Mapping[str, Sequence[str]], name: str, service: Service) -> Iterator[str]:
    """Yield a note for each target of which the service, called `name`, has no address that is switched to: a host may
    have another name there, or another port for its metrics.

    Raises InvalidRequest where all of them are IP addresses, and none is of the same host, and for what is no address.
    """
    for target, given in switched.items():
        places = {_switched(address) for address in given if not address.startswith("unix:")}
        own = {_place(url) for url in service.addresses(target)} if target in service.targets else set()
        if not places or not own or places & own:
            continue
        known = ", ".join(map(place_of, service.addresses(target)))
        told = (
            f"the deploy has {target} at {', '.join(given)}, and healthd's configuration has that of {name} at {known}"
        )
        hosts, others = {host for host, _ in places}, {host for host, _ in own}
        if not hosts & others and all(map(_is_numeric, hosts | others)):
            raise InvalidRequest(
                field="addresses",
                problem=f"{told}: is it the deploy file of another environment, with this one's service? A gate would "
                "judge, and move, the traffic here. Where both are the same host, write its name in one of them",
            )
        yield f"{told}: unless both are the same place, the gate judges, and moves, the traffic of another one"


def _switched(address: str) -> tuple[str, int]:
    try:
        return _place(f"http://{address}")
    except ValueError:
        problem = (
            f"{address} is no host with its port: write it as 10.0.1.10:3000, api.internal:3000 or [2001:db8::1]:3000"
        )
        raise InvalidRequest(field="addresses", problem=problem) from None


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    with suppress(ValueError):
        host = str(ip_address(host))
        if ip_address(host).is_loopback:
            host = "localhost"
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def _is_numeric(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return False
