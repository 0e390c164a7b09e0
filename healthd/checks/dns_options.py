"""Options of a check of DNS records, and the records that they expect; read without the resolver."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.reversename
from dns.rdtypes.txtbase import TXTBase
from pydantic import AfterValidator, model_validator

from healthd.checks.contract import CheckConfig

Record = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


def server(text: str) -> tuple[str, int]:
    """Return the address and the port of `10.0.0.2`, `10.0.0.2:5353` or `[::1]:53`. Raises ValueError."""
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not a name server: write its address, such as 10.0.0.2 or 10.0.0.2:53")
    return str(address), int(port)


def _is_server(text: str) -> str:
    server(text)
    return text


def _name_alone(text: str) -> str:
    """Return a name, or an address. Raises ValueError for what is more than that; the names of RFC 2317 have a `/`."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        is_more = "://" in text or ":" in text or ("/" in text and not text.lower().rstrip(".").endswith(".arpa"))
        if is_more or any(character.isspace() or character == "@" for character in text):
            raise ValueError("write the name alone, without a scheme, a port or a path, such as example.com") from None
    return text


class DNSConfig(CheckConfig):
    kind: Literal["dns"] = "dns"
    name: Annotated[str, AfterValidator(_name_alone)]
    """Name to look up, or the address where `record` is PTR."""
    record: Record = "A"
    """Type of record."""
    exactly: tuple[str, ...] | None = None
    """Complete set of expected values, in any order."""
    contains: tuple[str, ...] = ()
    """Values that must be in the set."""
    name_servers: tuple[Annotated[str, AfterValidator(_is_server)], ...] = ()
    """Name servers to ask instead of the system's: addresses, with a port where it is not 53."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.exactly is not None and self.contains:
            raise ValueError("exactly already says all: leave contains out")
        try:
            _ = self.query_name
        except dns.exception.DNSException as error:
            raise ValueError(f"name: {self.name!r} is not a name: {error}") from None
        for text in (*(self.exactly or ()), *self.contains):
            try:
                expected(self.record, text)
            except (dns.exception.DNSException, ValueError) as error:
                raise ValueError(f"{text!r} is not the value of a record of type {self.record}: {error}") from None
        return self

    @property
    def query_name(self) -> dns.name.Name:
        """Absolute name to query; the reverse name of an address for PTR."""
        if self.record == "PTR":
            try:
                return dns.reversename.from_address(self.name)
            except (dns.exception.SyntaxError, ValueError):
                pass
        return dns.name.from_text(self.name)


def expected(record: str, text: str) -> object:
    """Return a configured value in the form of `comparable`. Raises ValueError or DNSException."""
    if record == "TXT":
        return text
    data = dns.rdata.from_text(dns.rdataclass.IN, record, text, origin=dns.name.root, relativize=False)
    return comparable(data)


def comparable(data: dns.rdata.Rdata) -> object:
    """Return a value that is equal for records with the same meaning, whatever the case of names and the split of a
    text."""
    return as_text(data) if isinstance(data, TXTBase) else data


def as_text(data: dns.rdata.Rdata) -> str:
    if isinstance(data, TXTBase):
        return b"".join(data.strings).decode(errors="replace")
    return str(data.to_text())
