"""HTTP session for calls that have their own deadline."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence

import aiohttp


def new_session(
    context: ssl.SSLContext,
    *,
    headers: Mapping[str, str] | None = None,
    connections: int = 100,
    unpack: bool = True,
    traces: Sequence[aiohttp.TraceConfig] = (),
) -> aiohttp.ClientSession:
    """Create a session without cookies or timeout: the caller sets one for the whole attempt. Names are looked up in
    the event loop's own threads, which a hung resolver of the C library cannot exhaust, and for each connection: a
    call that waits for the lookup of another is then known to wait for a name. Without `unpack` a body stays
    compressed: a small one could expand to gigabytes. `traces` hear of every step of a call."""
    resolver = aiohttp.ThreadedResolver()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=connections, resolver=resolver, use_dns_cache=False),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=unpack,
        trace_configs=list(traces),
    )
