"""HTTP server: its routes, start and stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import hdrs, web

from healthd.config.listen_address import split_address
from healthd.metrics import Metrics
from healthd.runtime import descriptors
from healthd.web.checks_api import ChecksApi
from healthd.web.connections import Connections, accept
from healthd.web.health import HealthEndpoints
from healthd.web.metrics_page import MetricsPage
from healthd.web.refusals import Refusals
from healthd.web.spending import Spending
from healthd.web.starting import LateCalls
from healthd.web.unanswered import no_such_call

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_LARGEST_BODY = 64 * 1024
_LAST_CALL = 0.1  # seconds for requests that are on their way on open connections when the server stops
_FAREWELL = 2.0  # seconds for requests in progress to end when the server stops


class CannotListenError(Exception):
    """The address to serve on is not available."""

    def __init__(self, address: str, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address


def build(
    health: HealthEndpoints,
    checks: ChecksApi,
    metrics: Metrics,
    more: Iterable[web.AbstractRouteDef] = (),
    late: LateCalls | None = None,
) -> web.Application:
    """Return the application; calls without a route are those of `late`, if there are any. It has no middleware: an
    answer to a probe goes straight from its handler to the socket."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(_leave_out_software)
    app.add_routes(health.routes())
    app.add_routes(checks.routes())
    app.add_routes([web.get("/metrics", MetricsPage(metrics.registry, Spending()).__call__), *more])
    app.add_routes([late.route() if late is not None else web.route("*", "/{rest:(?s:.*)}", no_such_call)])
    return app


async def _leave_out_software(_: web.Request, response: web.StreamResponse) -> None:
    """Leave out the header with which aiohttp tells every stranger its version and Python's."""
    response.headers.pop(hdrs.SERVER, None)


class HttpServer:
    """HTTP server that listens."""

    def __init__(self, runner: web.AppRunner, connections: Connections, listening: asyncio.Server) -> None:
        self._runners, self._connections, self._listening = [runner], connections, listening

    @property
    def port(self) -> int:
        """Port of the server; chosen by the system if none was configured."""
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def prepare(self, app: web.Application) -> Handler:
        """Start another application, and return the function that answers a request by it."""
        runner = await _runner(app)
        self._runners.append(runner)
        assert runner.server is not None
        return runner.server.request_handler

    def answer_by(self, handler: Handler) -> None:
        """Answer all requests from now on by a handler, on connections that are open already too."""
        self._connections.answer = handler

    async def close(self) -> None:
        """Accept no more connections, answer what was asked on the open ones, and give that two seconds to end."""
        self._listening.close()
        await asyncio.sleep(_LAST_CALL)  # aiohttp drops a request that it has read and not begun to answer
        for runner in self._runners:
            await runner.cleanup()
        self._connections.close()


async def listen(
    app: web.Application, address: str, refusals: Refusals, most_connections: int | None = None
) -> HttpServer:
    """Serve until closed. Raises CannotListenError."""
    runner = await _runner(app)
    assert runner.server is not None
    connections = Connections(runner.server, refusals, most_connections or descriptors.most_connections())
    host, port = split_address(address)
    try:
        listening = await accept(connections, host, port)
    except OSError as error:
        connections.close()
        await runner.cleanup()
        raise CannotListenError(address, error) from error
    return HttpServer(runner, connections, listening)


async def _runner(app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_FAREWELL)
    await runner.setup()
    return runner
