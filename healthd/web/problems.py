"""Errors as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Answer that says what is wrong and how to fix it. `extra` holds members of the problem object."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.detail, self.headers, self.extra = status, title, detail, headers, extra

    def response(self) -> web.Response:
        body = {"type": "about:blank", "title": self.title, "status": self.status, **self.extra}
        if self.detail:
            body["detail"] = self.detail
        return web.Response(
            status=self.status,
            text=json.dumps(body),
            content_type="application/problem+json",
            headers={"Cache-Control": "no-store", **(self.headers or {})},
        )


def not_known_yet(what: str) -> Problem:
    """Return the problem with something that the journal may have, which cannot be read now."""
    told = f"the journal cannot be read now, and may have {what} that are not known here"
    return Problem(503, "Not known now", told, headers={"Retry-After": "5"})


def answering_problems(handler: Handler) -> Handler:
    """Return a handler whose Problems become answers."""

    @wraps(handler)
    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()

    return wrapped
