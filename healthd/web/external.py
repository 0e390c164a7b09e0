"""External address of the daemon: as configured, or else from the current request."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs, web

from healthd.config.external_url import HOST, PREFIX


def base_of(request: web.Request, configured: str | None) -> str:
    """Return the base address for the sender of this request, without a slash at the end.

    A proxy says in X-Forwarded-Proto, -Host and -Prefix, or in Forwarded, how it was called. A text that cannot be a
    host name is not repeated; then the path alone remains, which every HTTP client can resolve.
    """
    if configured:
        return configured
    headers = request.headers
    forwarded = _forwarded(headers.get(hdrs.FORWARDED, ""))
    host = _first(headers, hdrs.X_FORWARDED_HOST) or forwarded.get("host") or headers.get(hdrs.HOST) or ""
    scheme = _first(headers, hdrs.X_FORWARDED_PROTO) or forwarded.get("proto") or request.scheme
    if not HOST.fullmatch(host) or scheme not in ("http", "https"):
        return ""
    prefix = _first(headers, "X-Forwarded-Prefix").rstrip("/")
    return f"{scheme}://{host}{prefix if PREFIX.fullmatch(prefix) else ''}"


def _first(headers: Mapping[str, str], name: str) -> str:
    """Return the value of the first of several proxies, which is the address that the caller used."""
    return headers.get(name, "").partition(",")[0].strip()


def _forwarded(header: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in header.partition(",")[0].split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs if value}
