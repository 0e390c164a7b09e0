"""Endpoint `GET /metrics`: the registry in the format that the scraper asks for."""

from __future__ import annotations

import gzip

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from healthd.web.problems import Problem
from healthd.web.spending import Spending

_AT_MOST = 16  # formats whose last answer is kept: Accept selects one of them


class MetricsPage:
    """Needs no token, so its cost is bounded: see `Spending`. `?name[]=` filters an answer while the limit is not
    exceeded."""

    def __init__(self, registry: CollectorRegistry, spending: Spending) -> None:
        self._registry, self._spending = registry, spending
        self._kept: dict[tuple[str, bool], bytes] = {}

    async def __call__(self, request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
        names = request.query.getall("name[]", [])
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if packed:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        key = (content_type, packed)
        body = self._kept.get(key)
        if not self._spending.is_over:
            with self._spending.counted():
                registry = self._registry.restricted_registry(names) if names else self._registry
                body = encoder(registry)
                if packed:
                    body = gzip.compress(body, compresslevel=1, mtime=0)
            if not names and (key in self._kept or len(self._kept) < _AT_MOST):
                self._kept[key] = body
        if body is None:
            return Problem(503, "Busy", "metrics are asked for too often", {"Retry-After": "1"}).response()
        return web.Response(body=body, headers=headers)
