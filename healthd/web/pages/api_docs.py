"""Endpoints `GET /openapi.json`, the description of every call, and `GET /docs`, the same for people. Rendered on the
first request, off the event loop; then the same bytes for everyone. Neither contains anything of the configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from healthd.web import openapi, own_calls
from healthd.web.description import Described
from healthd.web.pages.kept import Kept, kept
from healthd.web.pages.renderer import HEADERS, Renderer


class ApiDocs:
    """Description of the calls of this daemon: its own, and those that `add` names."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._described: list[Described] = [*own_calls.descriptions()]
        self._kept: dict[str, Kept] = {}
        self._making = asyncio.Lock()

    def add(self, described: Sequence[Described]) -> None:
        """Describe these calls as well. Must precede the first request."""
        self._described += described

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/openapi.json", self._json), web.get("/docs", self._page)]

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        return openapi.document(self._described)

    async def _json(self, request: web.Request) -> web.Response:
        return (await self._made("json", self._as_json)).answer(request)

    async def _page(self, request: web.Request) -> web.Response:
        await self._renderer.ready()
        return (await self._made("page", self._as_page)).answer(request)

    async def _made(self, what: str, make: Callable[[], Kept]) -> Kept:
        async with self._making:
            if what not in self._kept:
                self._kept[what] = await asyncio.to_thread(make)
        return self._kept[what]

    def _as_json(self) -> Kept:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return kept(json.dumps(self.document(), indent=1), headers)

    def _as_page(self) -> Kept:
        document = self.document()
        tags = {tag["name"]: {**tag, "calls": []} for tag in document["tags"]}
        for path, methods in document["paths"].items():
            for method, call in methods.items():
                tags[call["tags"][0]]["calls"].append({"path": path, "method": method.upper(), **call})
        schemas = sorted(document["components"]["schemas"].items())
        text = self._renderer.text("docs.html", {"info": document["info"], "tags": tags.values(), "schemas": schemas})
        return kept(text, {**HEADERS, "Content-Type": "text/html; charset=utf-8"})
