"""Chooses a proxy by the variables, and by the rules, that kubectl and other Go programs use.

Go programs accept networks in NO_PROXY, and the usual value inside a cluster has some; aiohttp and urllib accept none.
Rules: golang.org/x/net/http/httpproxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy for an address, None if it is reached directly."""
    target = URL(url)
    name = f"{target.scheme.upper()}_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or is_direct(target, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_direct(target: URL, no_proxy: str) -> bool:
    """True of an address on this host, and of one that an entry of `no_proxy` covers; commas separate the entries."""
    host = (target.host or "").rstrip(".").lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(entry.strip().lower(), host, address, target.port) for entry in no_proxy.split(","))


def _covers(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int | None) -> bool:
    """True if one entry covers the host: `*`, a network, an address, or a domain with all below it (with a leading dot,
    only those below)."""
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_in(address, entry)
    if _address(entry.strip("[]")) is None:
        entry, _, only = entry.rpartition(":") if ":" in entry else (entry, "", "")
        if only and only != str(port):
            return False
    entry = entry.strip("[]")
    if address is not None:
        return _address(entry) == address
    domain = entry.removeprefix("*").removeprefix(".")
    below = host.endswith(f".{domain}")
    return below if entry.startswith((".", "*.")) else below or host == domain


def _is_in(address: IPv4Address | IPv6Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
