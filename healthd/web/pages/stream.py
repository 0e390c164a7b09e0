"""Live updates of pages: server-sent events with the parts that changed, and a heartbeat that proves the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from healthd.runtime.clock import Clock
from healthd.runtime.descriptors import most_connections
from healthd.runtime.events import set_within
from healthd.units import stamp
from healthd.web.pages.parts import Parts
from healthd.web.problems import Problem

BEAT_SECONDS = 4.0
_RECONNECT_MS = 2000
_MOST = 100
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Refresh = Callable[[], Awaitable[Parts]]


class Streams:
    """Followers of a page. Their number and the cost of each are limited: a slow one skips intermediate changes, and
    nothing waits for it. Half of the places are for those who have signed in."""

    def __init__(self, clock: Clock, at_most: int | None = None, pace: float = 1.0) -> None:
        """Create the streams. `pace` is the minimum number of seconds between two updates."""
        at_most = at_most or min(_MOST, most_connections() // 4)
        self._clock, self._at_most, self._pace = clock, at_most, pace
        self._stopping = asyncio.Event()
        self.followers, self._strangers = 0, 0

    def stop(self) -> None:
        """Disconnect all followers, so that the server can stop."""
        self._stopping.set()

    async def follow(self, request: web.Request, refresh: Refresh, *, known: bool) -> web.StreamResponse:
        """Send changes until either side closes; `known` means that the caller has signed in. Raises Problem 503 when
        there are too many already."""
        if self.followers >= self._at_most or (not known and self._strangers >= self._at_most // 2):
            raise Problem(503, "Too many viewers", "reload the page instead", headers={"Retry-After": "30"})
        self.followers += 1
        self._strangers += not known
        try:
            return await self._send(request, refresh)
        finally:
            self.followers -= 1
            self._strangers -= not known

    async def _send(self, request: web.Request, refresh: Refresh) -> web.StreamResponse:
        mark = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        parts = await refresh()  # before the first byte, so that a refusal can still be answered as one
        stream = web.StreamResponse(headers=_HEADERS)
        try:
            await stream.prepare(request)
            await stream.write(f"retry: {_RECONNECT_MS}\n\n".encode())
            beat_at = 0.0
            while not self._stopping.is_set():
                changed = parts.since(mark) if parts.mark != mark else {}
                if changed or self._clock.steady() >= beat_at:
                    mark = parts.mark
                    beat_at = self._clock.steady() + BEAT_SECONDS
                    news = json.dumps({"now": stamp(self._clock.now()), **changed}, separators=(",", ":"))
                    await stream.write(f"id: {mark}\ndata: {news}\n\n".encode())
                await set_within(self._pace, self._stopping)
                parts = await refresh()
        except (ConnectionResetError, Problem):  # the viewer has gone, or has lost the permission
            pass
        return stream
