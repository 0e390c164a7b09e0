"""Answers of a daemon that serves health already, and is still loading everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from healthd.web.problems import Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATIENCE = 30.0  # seconds that a call waits for what answers it
_AGAIN = {"Retry-After": "2"}
_STARTING = Problem(503, "Starting", "health is served, everything else is still being loaded: ask again", _AGAIN)
_FAILED = Problem(503, "Not loaded", "health is served alone, the log says why the rest is not", {"Retry-After": "30"})


class LateCalls:
    """Handler of every call but those of health. It waits until what answers them is loaded."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._settled = asyncio.Event()
        self._handler: Handler | None = None
        self._refusal = _STARTING

    def answer_by(self, handler: Handler) -> None:
        """Pass calls, those that wait too, to a handler."""
        self._handler = handler
        self._settled.set()

    def fail(self) -> None:
        """Refuse calls: there will be no handler."""
        self._refusal = _FAILED
        self._settled.set()

    def stop(self) -> None:
        """Release the calls that wait, so that the server can stop."""
        self._settled.set()

    def route(self) -> web.RouteDef:
        """Return the route of all calls that have no other. What a caller expects before it sends its body is left to
        the handler."""
        return web.RouteDef("*", "/{rest:(?s:.*)}", self._answer, {"expect_handler": _leave})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._patience):
                await self._settled.wait()
        except TimeoutError:
            pass
        return self._refusal.response() if self._handler is None else await self._handler(request)


async def _leave(_: web.Request) -> None:
    """Send no `100 Continue`."""
