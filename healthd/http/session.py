"""HTTP session for calls that have their own deadline."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult

from healthd.http.outgoing import Way, proxy_to
from healthd.http.through_proxy import ThroughProxy
from healthd.runtime.lookups import waiting_for


class Resolver(aiohttp.ThreadedResolver):
    """Looks names up by the event loop, and notes it also on one that is not the daemon's."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        with waiting_for(host):
            return await super().resolve(host, port, family)


def connector(**options: Any) -> aiohttp.TCPConnector:
    """Create a connector, with options of aiohttp's, that looks names up for each connection: a call that would wait
    for the lookup of another, or for what became of it, is known to wait for a name."""
    return aiohttp.TCPConnector(resolver=Resolver(), use_dns_cache=False, **options)


def new_session(
    context: ssl.SSLContext,
    *,
    headers: Mapping[str, str] | None = None,
    connections: int = 100,
    unpack: bool = True,
    traces: Sequence[aiohttp.TraceConfig] = (),
    proxy: str | None = None,
) -> aiohttp.ClientSession:
    """Create a session without cookies or timeout: the caller sets one for the whole attempt. Names are looked up in
    the event loop's own threads, which a hung resolver of the C library cannot exhaust. Without `unpack` a body stays
    compressed: a small one could expand to gigabytes. `traces` hear of every step of a call. `proxy` is an address, or
    `none`; by default the way in force leads to each address."""
    return aiohttp.ClientSession(
        connector=connector(ssl=context, limit=connections),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=unpack,
        trace_configs=list(traces),
        middlewares=[ThroughProxy(partial(proxy_to, own=proxy))],
    )


def shared_session() -> aiohttp.ClientSession:
    """Create a session without cookies for callers of several kinds, on the way in force."""
    return aiohttp.ClientSession(
        connector=connector(), cookie_jar=aiohttp.DummyCookieJar(), middlewares=[ThroughProxy(proxy_to)]
    )


def command_session(**options: Any) -> aiohttp.ClientSession:
    """Create a session of a command, which goes through the proxy of the environment, as curl does."""
    return aiohttp.ClientSession(middlewares=[ThroughProxy(Way.of_environment(os.environ).to)], **options)
