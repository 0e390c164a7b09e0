"""The sample service: one version of a shop, with metrics, a share of errors and a usual answer time."""

from __future__ import annotations

import argparse
import asyncio
import random

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.aiohttp import make_aiohttp_handler


def shop(version: str, errors: float, seconds: float) -> web.Application:
    """An application that fails `errors` of its requests and takes about `seconds` for each."""
    registry = CollectorRegistry()
    requests = Counter("http_requests_total", "Requests by status.", ["status"], registry=registry)
    duration = Histogram("http_request_duration_seconds", "How long they took.", registry=registry)

    async def buy(_request: web.Request) -> web.Response:
        with duration.time():
            await asyncio.sleep(random.expovariate(1 / seconds))
        status = 500 if random.random() < errors else 200
        requests.labels(status).inc()
        return web.Response(status=status, text=f"shop {version}\n")

    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    app.router.add_get("/", buy)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("version")
    parser.add_argument("--errors", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.01)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    app = shop(options.version, options.errors, options.seconds)
    web.run_app(app, host=options.host, port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
