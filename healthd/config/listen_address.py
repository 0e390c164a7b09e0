"""Addresses to listen on, as host:port."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from healthd.runtime.authority import is_port

_HOST = re.compile(r"[^\s/?#@\[\]]*|\[[^\s/?#@\[\]]*\]")


def split_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:8080` or `[::]:8080` → host and port; port 0 is a free one. Raises ValueError."""
    written, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not _HOST.fullmatch(written):
        raise ValueError(f"{text!r} is not an address: write host:port, such as 127.0.0.1:8080")
    if port != "0" and not is_port(port):
        raise ValueError(f"{text!r} has a port that cannot be: write a number from 1 to 65535")
    host = written.strip("[]")
    if ":" in host or host != written:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise ValueError(
                f"{text!r} has no IPv6 address before its port: write it in brackets, such as [::1]:8080"
            ) from None
    elif host and not host.strip("0123456789."):
        with suppress(OSError):
            socket.inet_aton(host)
            return host, int(port)
        raise ValueError(f"{text!r} has no IPv4 address before its port: write four numbers from 0 to 255")
    return host, int(port)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def note_in_pod(listen: str, environ: Mapping[str, str]) -> str | None:
    """Return a note where a daemon in a pod would listen on what nobody outside of the pod reaches. Kubernetes sets the
    variable by which a pod is known."""
    host, port = split_address(listen)
    if not environ.get("KUBERNETES_SERVICE_HOST") or not is_loopback(host):
        return None
    away = "the kubelet's probes and a Service come to another address"
    return f"http.listen: {listen} is reached from within this pod alone, and {away}: write 0.0.0.0:{port}"


def _address(text: str) -> str:
    split_address(text)
    return text


def _port_alone(raw: Any) -> Any:
    if isinstance(raw, int) and not isinstance(raw, bool):
        raise ValueError(f"write host:port, such as 0.0.0.0:{raw} for every address or 127.0.0.1:{raw} for this host")
    return raw


Address = Annotated[str, BeforeValidator(_port_alone), AfterValidator(_address)]
