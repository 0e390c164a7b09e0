"""Failures of a proxy in words for people: never the target's, which nobody has reached."""

from __future__ import annotations

from healthd.checks.connect import Endpoint, explain
from healthd.http.outgoing import Proxy
from healthd.model import FailureKind

_NO_LOGIN = (407, 401)  # tinyproxy answers a wrong login with the second
_UNREACHED = {502: "does not reach", 503: "does not reach", 504: "gets no answer from"}


def explain_proxy(proxy: Proxy, target: Endpoint, cause: OSError | None, status: int | None) -> tuple[FailureKind, str]:
    """Return failure kind and message: of a proxy that was not reached, by its `cause`, or of what it answered
    instead (RFC 9110, 9.3.6 and 15.5.8)."""
    return FailureKind.CONNECT, f"the proxy {_what(proxy, target, cause, status)}"


def _what(proxy: Proxy, target: Endpoint, cause: OSError | None, status: int | None) -> str:
    if status is None:
        place = Endpoint(proxy.host, proxy.port)
        return f"is not reached: {explain(cause, place)[1]}" if cause is not None else f"{proxy} speaks no HTTP"
    if status in _NO_LOGIN:
        if proxy.user is None:
            return f"{proxy} asks for a login ({status}): write user and password in its address"
        return f"{proxy} does not accept the login ({status}): look at user and password in its address"
    if status == 403:
        return f"{proxy} does not let anyone through to {target} (403)"
    if status in _UNREACHED:
        return f"{proxy} {_UNREACHED[status]} {target} ({status})"
    return f"{proxy} does not lead to {target}: it answered {status}"
