"""The HTTP server: which routes there are, and how they start and stop."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from healthd.metrics import Metrics
from healthd.settings import split_address
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints

_LARGEST_BODY = 64 * 1024


def build(
    health: HealthEndpoints, checks: ChecksApi, metrics: Metrics, more: Iterable[web.AbstractRouteDef]
) -> web.Application:
    """The application. It has no middleware: an answer to a probe goes straight from its handler to the wire."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.add_routes(health.routes())
    app.add_routes(checks.routes())
    app.add_routes([web.get("/metrics", make_aiohttp_handler(metrics.registry)), *more])
    return app


async def listen(app: web.Application, address: str) -> web.AppRunner:
    """Serve until the runner is cleaned up. Raises OSError when the address cannot be had."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    host, port = split_address(address)
    await web.TCPSite(runner, host, port, backlog=1024).start()
    return runner
