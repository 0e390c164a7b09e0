"""The HTTP server: which routes there are, and how they start and stop."""

from __future__ import annotations

import os
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from healthd.config.settings import split_address
from healthd.metrics import Metrics
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints

_LARGEST_BODY = 64 * 1024
_IDLE = 75.0  # seconds without a request after which a connection ends; longer than proxies keep theirs
_LINGERING = 5.0  # seconds in which the rest of a body that was refused is taken and thrown away
_FAREWELL = 2.0  # seconds that requests in hand get to end when the server stops


class CannotListenError(Exception):
    """An address to serve on cannot be had."""

    def __init__(self, address: str, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error
        super().__init__(f"cannot listen on {address}: {reason}")


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
    """Serve until the runner is cleaned up. Raises CannotListenError."""
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_FAREWELL,
        keepalive_timeout=_IDLE,
        lingering_time=_LINGERING,
        auto_decompress=False,  # a body nobody asked for is not unpacked; who asks for one unpacks so much and no more
    )
    await runner.setup()
    host, port = split_address(address)
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        raise CannotListenError(address, error) from error
    return runner
