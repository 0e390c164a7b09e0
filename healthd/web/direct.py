"""Callers on this host with nothing between, as far as that can be seen."""

from __future__ import annotations

import re
from functools import lru_cache

from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from healthd.config.listen_address import is_loopback

_SEC_FETCH_SITE = istr("Sec-Fetch-Site")
# Headers of proxies and content delivery networks, and the origin that a browser sends for a page.
_FORWARDING = (
    *(hdrs.FORWARDED, hdrs.ORIGIN, hdrs.VIA, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO),
    *map(
        istr, ("X-Forwarded-By", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Server")
    ),
    *map(istr, ("X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "True-Client-IP")),
    *map(istr, ("CDN-Loop", "CF-Connecting-IP", "CF-Ray", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP")),
    *map(istr, ("X-Amzn-Trace-Id", "X-Appengine-User-IP", "X-Envoy-External-Address", "X-Original-URL")),
)


def is_direct(request: web.Request) -> bool:
    """True if neither a proxy nor a page in a browser is between, as far as that can be seen: a proxy adds a header, or
    speaks HTTP/1.0 as NGINX does by default. A page can have its own name resolve to loopback, but then that name is in
    the Host header, which it cannot choose."""
    headers = request.headers
    return (
        request.version >= HttpVersion11
        and not any(name in headers for name in _FORWARDING)
        and headers.get(_SEC_FETCH_SITE, "none") in ("none", "same-origin")
        and _names_this_host(headers.get(hdrs.HOST, ""))
    )


@lru_cache(maxsize=256)
def _names_this_host(host: str) -> bool:
    """True if the Host header names this host. A simple client may send none; a browser always does."""
    return not host or is_loopback(re.sub(r":\d*$", "", host).strip("[]").lower())
