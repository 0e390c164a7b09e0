"""Two hosts that run one version each. Releasing one ends the process there and starts another, at the same address.

A deploy tool reaches them as it would reach real ones: by a program, `Fleet.argv`, which asks over HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.servers.ports import HOST, free_port
from tests.servers.process import Process, own_folder
from tests.servers.programs import require
from tests.servers.version import process_on


@dataclass
class Fleet:
    """The hosts by name, and how many of a version's requests fail."""

    failing: Mapping[str, float]
    ports: dict[str, int]
    folder: Path
    control: int = 0
    released: list[tuple[str, str]] = field(default_factory=list)
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def urls(self) -> dict[str, str]:
        return {host: f"http://{HOST}:{port}" for host, port in self.ports.items()}

    @property
    def argv(self) -> list[str]:
        """The program that releases $version to $target."""
        return [str(require("curl")), "-sSf", "-X", "POST", f"http://{HOST}:{self.control}/$target/$version"]

    async def release(self, host: str, version: str) -> None:
        await self.end(host)
        log = self.folder / f"{host}.log"
        process = process_on(self.ports[host], version, self.failing.get(version, 0.0), log)
        await asyncio.to_thread(process.start)
        self.processes[host] = process
        self.released.append((host, version))

    def version_on(self, host: str) -> str | None:
        """What runs there; None if nothing does."""
        released = [version for each, version in self.released if each == host]
        return released[-1] if host in self.processes else None

    async def end(self, host: str) -> None:
        if (process := self.processes.pop(host, None)) is not None:
            await asyncio.to_thread(process.kill)

    async def _asked(self, request: web.Request) -> web.Response:
        await self.release(request.match_info["host"], request.match_info["version"])
        return web.Response()


@asynccontextmanager
async def running(failing: Mapping[str, float], **versions: str) -> AsyncIterator[Fleet]:
    """Hosts with their first versions, as in `running({}, blue="1.0", green="0.9")`."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(failing, {host: free_port() for host in versions}, stack.enter_context(own_folder()))
        app = web.Application()
        app.router.add_post("/{host}/{version}", fleet._asked)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, free_port())
        await site.start()
        fleet.control = runner.addresses[0][1]
        for host, version in versions.items():
            await fleet.release(host, version)
            stack.push_async_callback(fleet.end, host)
        yield fleet
