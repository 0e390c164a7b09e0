"""Host names in their encoded form: one encoder for lookups, TLS and HTTP."""

from __future__ import annotations

from contextlib import suppress

import idna


def ascii_name(host: str) -> str:
    """Return a name in ASCII by IDNA 2008, as browsers and registries use it: Python's own encoder, of 2003, yields
    another domain for names with `ß` or `ς`. A text that is no such name is returned unchanged."""
    if host.isascii():
        return host
    with suppress(idna.IDNAError, UnicodeError):
        return idna.encode(host, uts46=True).decode()
    return host


def tls_name(host: str) -> str:
    """Return a name as TLS uses it (RFC 6066, section 3): in ASCII, and without the dot that ends an absolute one."""
    return ascii_name(host).removesuffix(".") or host
