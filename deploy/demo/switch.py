"""The switch: what a load balancer's listener is elsewhere. All traffic goes to one colour; a signed `POST /back` puts
it back to where it was before, and a signed `POST /weigh` gives a part of it to the other.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import random

import aiohttp
from aiohttp import web


class Switch:
    """Forwards to one of the colours. A rollback is carried out once for each idempotency key."""

    def __init__(self, colours: dict[str, str], secret: str) -> None:
        self._colours, self._secret = colours, secret
        self._now = self._before = next(iter(colours))
        self._seen: set[str] = set()
        self._beside, self._weight = self._now, 0.0
        self._session: aiohttp.ClientSession | None = None

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/to/{colour}", self.turn),
                web.post("/back", self.back),
                web.post("/weigh", self.weigh),
                web.get("/colour", self.colour),
            ]
        )
        app.router.add_get("/{path:.*}", self.forward)
        app.on_cleanup.append(self._close)
        return app

    async def turn(self, request: web.Request) -> web.Response:
        self._before, self._now = self._now, request.match_info["colour"]
        return web.Response(text=self._now)

    async def back(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._is_signed(request.headers.get("X-Healthd-Signature", ""), body):
            return web.Response(status=401, text="not signed by healthd")
        key = request.headers.get("Idempotency-Key", "")
        if key not in self._seen:
            self._seen.add(key)
            self._now, self._before = self._before, self._now
        return web.Response(text=self._now)

    async def weigh(self, request: web.Request) -> web.Response:
        """Give the candidate its share; a repetition sets the same."""
        body = await request.read()
        if not self._is_signed(request.headers.get("X-Healthd-Signature", ""), body):
            return web.Response(status=401, text="not signed by healthd")
        order = json.loads(body)
        self._beside, self._weight = order["candidate"]["target"], order["weight"] or 0.0
        if self._weight >= 1:
            self._before, self._now, self._weight = self._now, self._beside, 0.0
        return web.Response(text=f"{self._weight:.2%} to {self._beside}")

    async def colour(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._now)

    async def forward(self, request: web.Request) -> web.Response:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        colour = self._beside if random.random() < self._weight else self._now
        try:
            async with self._session.get(self._colours[colour] + request.path_qs) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        except aiohttp.ClientError:
            return web.Response(status=502, text="nobody answers there")

    def _is_signed(self, header: str, body: bytes) -> bool:
        seconds, _, given = header.removeprefix("t=").partition(",v1=")
        wanted = hmac.new(self._secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, given)

    async def _close(self, _app: web.Application) -> None:
        if self._session is not None:
            await self._session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("secret")
    parser.add_argument("colours", nargs="+", metavar="COLOUR=URL")
    options = parser.parse_args()
    switch = Switch(dict(colour.split("=", 1) for colour in options.colours), options.secret)
    web.run_app(switch.app(), host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
