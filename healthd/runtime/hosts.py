"""Hosts' names as the wire has them: one encoder for lookups, TLS and HTTP."""

from __future__ import annotations

from contextlib import suppress

import idna


def ascii_name(host: str) -> str:
    """A name in ASCII by IDNA 2008, as browsers and registries have it: Python's own encoder, of 2003, takes another
    domain for it where `ß` or `ς` is in it. What is no such name stays as it is."""
    if host.isascii():
        return host
    with suppress(idna.IDNAError, UnicodeError):
        return idna.encode(host, uts46=True).decode()
    return host


def tls_name(host: str) -> str:
    """A name as TLS has it (RFC 6066, section 3): in ASCII, and without the dot that ends an absolute one."""
    return ascii_name(host).removesuffix(".") or host
