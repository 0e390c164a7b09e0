"""Hosts as a cloud has them, on loopback: each serves the version that is unpacked in its folder, and an agent runs
shell commands there for real.

They live in the event loop of the test.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.servers.ports import HOST, free_port


@dataclass
class Instance:
    """One host. Its version is what the file `current` in its folder says; while `stopped` is there it answers 503.

    `failing` is the share of each version's requests that are answered 500. A version named in it with more than 1
    is ill: it says so to health checks, too.
    """

    id: str
    folder: Path
    failing: Mapping[str, float]
    port: int = 0
    served: Counter[tuple[str, int]] = field(default_factory=Counter)
    in_hand: int = 0
    _due: float = 0.0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def version(self) -> str:
        return (self.folder / "current").read_text().strip()

    def unpack(self, version: str) -> None:
        """As a release would."""
        (self.folder / "current").write_text(version)

    async def answer(self, request: web.Request) -> web.Response:
        version, share = self.version, self.failing.get(self.version, 0.0)
        if request.path == "/metrics":
            lines = [f'app_requests_total{{version="{v}",status="{s}"}} {n}' for (v, s), n in self.served.items()]
            return web.Response(text="# TYPE app_requests_total counter\n" + "\n".join(lines) + "\n")
        if (self.folder / "stopped").exists() or share > 1:
            return web.Response(status=503, text=version)
        if request.path == "/health":
            return web.Response(text=version)
        self._due += share
        status = 500 if self._due >= 1 else 200
        self._due -= status == 500
        self.served[version, status] += 1
        return web.Response(status=status, text=version)


@dataclass
class Run:
    """One command on one host, by its agent: status and output as they are now."""

    instance: Instance
    script: str
    status: str = "Pending"
    code: int = -1
    output: str = ""
    _process: asyncio.subprocess.Process | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("Pending", "InProgress")

    async def carry_out(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "sh", "-c", self.script, cwd=self.instance.folder, env={**os.environ, "INSTANCE": self.instance.id},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.status = "InProgress"
        out, _ = await self._process.communicate()
        self.output, self.code = out.decode(), self._process.returncode or 0
        self.status = "Success" if self.code == 0 else "Cancelled" if self.code < 0 else "Failed"

    def cancel(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def serving(instance: Instance) -> AsyncIterator[Instance]:
    """An instance on a free port."""
    application = web.Application()
    application.router.add_get("/{path:.*}", instance.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, free_port()).start()
    instance.port = runner.addresses[0][1]
    try:
        yield instance
    finally:
        await runner.cleanup()
