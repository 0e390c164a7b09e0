"""TCP connection of a probe: resolves a name and takes the address that answers first. Explains connection errors."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import aiohappyeyeballs

from healthd.checks.failures import classify
from healthd.model import FailureKind
from healthd.runtime.hosts import ascii_name
from healthd.runtime.lookups import look_up

_HEAD_START = 0.25  # seconds before the next address is tried in parallel (RFC 8305, 5)
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host and port, in the notation that people use."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect(endpoint: Endpoint) -> socket.socket:
    """Return a connected, non-blocking socket. Raises OSError, which `explain` puts into words."""
    return await aiohappyeyeballs.start_connection(
        await _addresses(endpoint), happy_eyeballs_delay=_HEAD_START, interleave=1
    )


async def _addresses(endpoint: Endpoint) -> list[aiohappyeyeballs.AddrInfoType]:
    host, port = ascii_name(endpoint.host), endpoint.port
    try:  # an address needs no lookup, and must not fail when the resolver hangs
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)]
    except socket.gaierror:
        return [*await look_up(endpoint.host, port, flags=socket.AI_ADDRCONFIG)]


def explain(error: OSError, endpoint: Endpoint) -> tuple[FailureKind, str]:
    """Return the failure kind and a line for people."""
    if isinstance(error, socket.gaierror):
        return FailureKind.DNS, f"the name {endpoint.host} was not resolved: {error.strerror}"
    if error.errno == errno.ECONNREFUSED:
        return FailureKind.CONNECT, f"{endpoint} refused the connection"
    if error.errno in UNREACHABLE:
        return FailureKind.CONNECT, f"{endpoint} is unreachable: {error.strerror}"
    if error.errno == errno.ETIMEDOUT:
        return FailureKind.TIMEOUT, f"no connection to {endpoint}: the host stays silent"
    if isinstance(error, ConnectionError):
        return FailureKind.CONNECT, f"{endpoint} closed the connection"
    return classify(error), f"no connection to {endpoint}: {error.strerror or error}"
