"""Count refused callers, and log each kind of them once a minute at most for each route, with the last of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import structlog
from aiohttp import web

from healthd.runtime.repeats import Repeats

_log = structlog.get_logger(__name__)
_LONGEST_PATH = 200
_SECRET = "{key}"  # the part of a route by which a caller shows who he is


class Reason(StrEnum):
    """Reason of a refusal."""

    UNKNOWN_TOKEN = "unknown_token"
    EXPIRED_TOKEN = "expired_token"
    SIGN_IN = "sign_in"
    BAD_SIGNATURE = "bad_signature"
    NOT_HTTP = "not_http"
    SLOW_HEAD = "slow_head"
    LONG_HEAD = "long_head"
    CROWDED = "crowded"


_TOLD = {
    Reason.UNKNOWN_TOKEN: "callers with a token that is not known were refused",
    Reason.EXPIRED_TOKEN: "callers with a token that has expired were refused",
    Reason.SIGN_IN: "people who came back from the provider of their sign-in were refused",
    Reason.BAD_SIGNATURE: "events with a wrong signature were refused",
    Reason.CROWDED: "idle connections were closed: there are too many",
}


class Refusals:
    """Refusals of one daemon. A kind that anyone can cause, and that indicates nothing, is counted and not logged."""

    def __init__(self, count: Callable[[str], None] = lambda _reason: None, repeats: Repeats | None = None) -> None:
        self._count, self._repeats = count, repeats or Repeats()

    def __call__(self, reason: Reason, request: web.Request | None = None, **told: str) -> None:
        """Count a refusal; its log line has what is `told`, and of the request its path and the address it came from,
        which is that of the proxy where one is between."""
        self._count(reason.value)
        route = _route(request)
        if reason in _TOLD and (times := self._repeats.count((reason, route))):
            if request is not None:
                path = route if _SECRET in route else request.path[:_LONGEST_PATH]
                told = {**told, "path": path, "address": request.remote or "unknown"}
            _log.warning(_TOLD[reason], times=times, **told)


def _route(request: web.Request | None) -> str:
    """Return the form of the path, such as `/hooks/{hook}`: whatever callers write, there are no more of them."""
    resource = None if request is None else request.match_info.route.resource
    return resource.canonical if isinstance(resource, web.AbstractResource) else ""
