"""Redirects: the next request, and which parts of the request it keeps: to another host neither headers nor body are
sent, since both may hold secrets."""

from __future__ import annotations

from yarl import URL

from healthd.checks.http_request import Request

_CODES = (301, 302, 303, 307, 308)


class RedirectError(Exception):
    """Redirect that cannot be followed; the text says why, to be put after the host's name."""


def next_request(request: Request, status: int, location: str | None) -> Request | None:
    """Return the next request; None for an answer that is no redirect. Raises RedirectError."""
    if status not in _CODES or location is None:
        return None
    try:
        url = request.url.join(URL(location, encoded=True)).with_fragment(None)
        usable = url.scheme in ("http", "https") and url.host and url.port
    except ValueError:
        usable = None
    if not usable:
        raise RedirectError("redirects to what is no http:// or https:// URL")
    method, body = request.method, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):  # RFC 9110, 15.4
        method, body = "GET", None
    if is_same_host(request.url, url):
        return Request(url.with_user(None), method, request.headers, body)
    if body is not None:
        raise RedirectError("redirects to another host, which is not sent the body")
    return Request(url.with_user(None), method)


def is_same_host(old: URL, new: URL) -> bool:
    """True if the new URL may get the same secrets as the old one: the same origin, or its HTTPS variant."""
    if old.host != new.host:
        return False
    is_upgrade = (old.scheme, old.port, new.scheme, new.port) == ("http", 80, "https", 443)
    return (old.scheme, old.port) == (new.scheme, new.port) or is_upgrade
