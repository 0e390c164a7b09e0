"""Parts of a PostgreSQL address that stand twice. What stands behind the `?` overrides what stands before it, as in
libpq's `conninfo_uri_parse_params`; the driver here does it the other way round."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote, unquote

from healthd.addresses.words import Word
from healthd.runtime.authority import is_port


def overridden(head: str, words: MutableMapping[str, Word], addresses: str = "") -> str:
    """Return the part of an address before the `?` with what `host`, `port`, `dbname`, `user` and `password` among
    `words` say; they are taken out of `words`. `addresses`: value of `hostaddr`, where those are to be connected to.
    Raises ValueError, never with any part of a value."""
    scheme, _, rest = head.partition("://")
    authority, _, path = rest.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    if "user" in words:
        user, at = quote(words.pop("user").value, safe=""), "@"
    if "password" in words:
        password, at = quote(words.pop("password").value, safe=""), "@"
    if at:
        at = f"{user}{f':{password}' if password else ''}@"
    if "dbname" in words:
        path = quote(words.pop("dbname").value, safe="")
    if addresses or "host" in words or "port" in words:
        hosts = _hosts(hosts, words, addresses)
    elif "," in hosts:
        _refuse_empty(unquote(host) for host, _ in _split(hosts))
    # Without a name behind it the slash would be an empty name for the driver, which then asks neither the variable
    # nor the service for one.
    return f"{scheme}://{at}{hosts}{f'/{path}' if path else ''}"


def _hosts(before: str, words: MutableMapping[str, Word], addresses: str) -> str:
    """Return the hosts with their ports as they stand before the `?`."""
    pairs = list(_split(before))
    hosts = words.pop("host").value.split(",") if "host" in words else [host for host, _ in pairs]
    ports = words["port"].value.split(",") if "port" in words else [port for _, port in pairs]
    if addresses:
        hosts = _addresses(hosts, addresses.split(","))
    if not all(not port or is_port(port) for port in ports):
        raise ValueError("has a port that cannot be: write a number from 1 to 65535")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise ValueError("has another number of ports than of hosts: write one port, or one for each host")
    if len(hosts) > 1:
        _refuse_empty(hosts)
    if hosts == [""]:  # the host's default socket, of which the port is a part
        if ports != [""]:
            words["port"] = Word("port", ports[0])
        return ""
    words.pop("port", None)
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ",".join(_written(host) + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=True))


def _split(before: str) -> Iterator[tuple[str, str]]:
    for spec in before.split(","):
        if spec.startswith("["):
            host, _, rest = spec[1:].partition("]")
            yield unquote(host), rest.removeprefix(":")
        else:
            host, _, port = spec.partition(":")
            yield unquote(host), port


def _addresses(hosts: list[str], addresses: list[str]) -> list[str]:
    if hosts == [""]:
        return addresses
    if len(hosts) != len(addresses):
        raise ValueError("has another number of hosts than of addresses in hostaddr: write one for each host")
    return [address or host for host, address in zip(hosts, addresses, strict=True)]


def _refuse_empty(hosts: Iterator[str] | list[str]) -> None:
    if not all(hosts):
        raise ValueError("has an empty host among several: write the folder of its socket, such as %2Fvar%2Frun")


def _written(host: str) -> str:
    if ":" not in host or host.startswith("/"):
        return quote(host, safe="")
    try:
        IPv6Address(host)
    except AddressValueError:
        raise ValueError("has a : in the word host: libpq takes no port there, write it as the word port") from None
    return f"[{quote(host, safe=':')}]"
