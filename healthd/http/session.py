"""A session for calls that have a deadline of their own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import aiohttp


def new_session(
    context: ssl.SSLContext,
    *,
    headers: Mapping[str, str] | None = None,
    connections: int = 100,
    unpack: bool = True,
) -> aiohttp.ClientSession:
    """Keeps no cookies and has no time limit: the caller sets one for the whole try. Names are looked up in the event
    loop's own threads, which a hung resolver of the C library cannot exhaust. Without `unpack` a body is left as it
    came: what is packed small could be gigabytes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=connections, resolver=aiohttp.ThreadedResolver()),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=unpack,
    )
