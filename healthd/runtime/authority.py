"""Rules for the part of an address between `://` and its path: user, password, hosts and ports (RFC 3986, section 3.2).

The libraries that would connect disagree on a part that breaks them: one takes half of a password for the host, another
fails with an error of its own long after the configuration was read.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

_LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IN_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::(.*))?")
ESCAPES = (
    "in user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, [ as %5B, ] as %5D, a space as %20 "
    "and % as %25"
)


def refuse_ends(address: str) -> None:
    """Raise ValueError for an address with space around it, such as the line break of a variable, with which it would
    lead to another path or database."""
    if address != address.strip():
        raise ValueError("begins or ends with a space or a line break, as the value of a variable may: take it out")


def authority_of(address: str) -> str:
    """Return the part of an address between `://` and its path, query or fragment."""
    return re.split(r"[/?#]", address.partition("://")[2], maxsplit=1)[0]


def problem_of_authority(authority: str, *, several: bool = False) -> str | None:
    """Return what is wrong with it and the fix, never with any part of it; None if nothing is. `several` allows hosts
    that commas separate."""
    user, _, hosts = authority.rpartition("@")
    if "@" in user:
        return f"has more than one @ before its path: {ESCAPES}"
    if _LOOSE_PERCENT.search(user):
        return f"has a % that begins no escape: {ESCAPES}"
    if any(character.isspace() for character in authority):
        return f"has a space before its path: take it out; {ESCAPES}"
    if "," in hosts and not several:
        return "names several hosts: write one"
    return next((problem for host in hosts.split(",") if (problem := _problem_of_host(host)) is not None), None)


def is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535


def _problem_of_host(host: str) -> str | None:
    if "[" in host or "]" in host:
        match = _IN_BRACKETS.fullmatch(host)
        if match is None:
            return f"has a [ without its ], or the other way round: write an IPv6 address as [::1]; {ESCAPES}"
        try:
            IPv6Address(match[1])
        except AddressValueError:
            return "has no IPv6 address between [ and ]: write it as [::1]"
        port = match[2]
    else:
        _, colon, port = host.partition(":")
        if colon and ":" in port:
            return f"has more than one : in a host: write an IPv6 address in brackets, as [::1]; {ESCAPES}"
    if port and not port.isdigit():
        return f"has a port that is not a number, or an @ behind the host: {ESCAPES}"
    return "has a port that cannot be: write a number from 1 to 65535" if port and not is_port(port) else None
