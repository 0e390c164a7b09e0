"""Processes of the demo: a shop in two colours behind a switch, healthd, Prometheus where there is one."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from healthd.web.auth import new_token

_CONFIG = """\
http: {{listen: "127.0.0.1:{healthd}", drain: 100ms}}
journal: sqlite:///{folder}/healthd.db
log: {{level: warning}}
auth:
  trust_loopback: true
  tokens: [{{name: demo, hash: "{token_hash}", scopes: [admin]}}]
defaults: {{interval: 5s}}
checks:
  shop: {{kind: http, url: "http://127.0.0.1:{switch}/", expect: {{status: [200, 500]}}, critical: true}}
  memory: {{kind: memory}}
  disk: {{kind: disk}}
services:
  shop:
    targets: {{blue: "http://127.0.0.1:{blue}", green: "http://127.0.0.1:{green}"}}
    source:
      kind: scrape
      requests: http_requests_total
      errors: 'http_requests_total{{status=~"5.."}}'
      latency: http_request_duration_seconds_bucket
    on_fail: [traffic-back]
actions:
  traffic-back: {{kind: webhook, url: "http://127.0.0.1:{switch}/back", secret: {secret}}}
  weigh: {{kind: webhook, url: "http://127.0.0.1:{switch}/weigh", secret: {secret}}}
policies:
  gradual:
    {{initial_delay: 5s, interval: 1s, blip: 2s, observe: {{min: 10s, max: 2m}}, watch: 0s, confirm_timeout: 30s,
     criteria: [{{kind: error_rate, limit: 5%, compare: {{to: concurrent}}}}],
     ramp: {{budget: 60}}, on_ramp: [weigh], on_fail: []}}
  post-switch: {{initial_delay: 5s, interval: 1s, observe: {{min: 10s, max: 2m}}, watch: 0s, confirm_timeout: 30s}}
"""
_PROMETHEUS = """\
global: {{scrape_interval: 2s}}
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{blue}", "127.0.0.1:{green}"]}}]}}
  - {{job_name: healthd, static_configs: [{{targets: ["127.0.0.1:{healthd}"]}}]}}
"""


_PATIENCE = 120  # seconds: a slow or busy machine takes more than one of its own for each start


class NotStartedError(Exception):
    """A process of the demo has ended, or answers nobody; says which, and what it wrote."""


class Stage:
    """The processes of the demo and the addresses at which they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: _free_port() for name in ("blue", "green", "switch", "prometheus")}
        self.ports["healthd"] = _free_port(8080)
        self.secret = secrets.token_hex(16)
        self.token, self.token_hash = new_token()
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    async def start(self, name: str, *command: str) -> None:
        """Start a process, or another one in the place of an earlier one, and wait until it answers."""
        await self.stop(name)
        log = (self.folder / f"{name}.log").open("ab")
        self._running[name] = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        await self._answers(name, self._running[name])

    async def _answers(self, name: str, process: asyncio.subprocess.Process) -> None:
        """Wait until a process that was started answers. Raises NotStartedError."""
        url = self.url(name, {"healthd": "/health/ready", "prometheus": "/-/ready"}.get(name, "/"))
        try:
            async with asyncio.timeout(_PATIENCE), aiohttp.ClientSession() as session:
                while process.returncode is None:
                    try:
                        async with session.get(url) as answer:
                            if answer.status < 502:
                                return
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.1)
            why = f"ended with {process.returncode}"
        except TimeoutError:
            why = f"did not answer within {_PATIENCE} s"
        said = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        raise NotStartedError("\n".join([f"{name} {why}; what it said last:", *said[-10:]]))

    async def release(self, colour: str, version: str, *, errors: float = 0.0) -> None:
        """Put a version of the shop on a colour."""
        port = str(self.ports[colour])
        await self.start(
            colour,
            sys.executable,
            "-m",
            "deploy.demo.shop",
            port,
            version,
            "--errors",
            str(errors),
            "--seconds",
            "0.01",
        )

    async def stop(self, name: str) -> None:
        if (process := self._running.pop(name, None)) is not None:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def close(self) -> None:
        for name in list(self._running):
            await self.stop(name)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Blue with version 1, the switch on blue, healthd, and Prometheus where there is one."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="healthd-demo-")))
        stage = Stage(folder)
        stack.push_async_callback(stage.close)
        await stage.release("blue", "1.0")
        colours = [f"{colour}={stage.url(colour)}" for colour in ("blue", "green")]
        port = str(stage.ports["switch"])
        await stage.start("switch", sys.executable, "-m", "deploy.demo.switch", port, stage.secret, *colours)
        config = folder / "healthd.yaml"
        config.write_text(
            _CONFIG.format(folder=folder, secret=stage.secret, token_hash=stage.token_hash, **stage.ports)
        )
        await stage.start("healthd", sys.executable, "-m", "healthd", "run", "--config", str(config))
        if prometheus := shutil.which("prometheus"):
            file = folder / "prometheus.yml"
            file.write_text(_PROMETHEUS.format(**stage.ports))
            listen = f"--web.listen-address=127.0.0.1:{stage.ports['prometheus']}"
            data = f"--storage.tsdb.path={folder}/prometheus"
            await stage.start("prometheus", prometheus, f"--config.file={file}", data, listen)
        yield stage


def _free_port(wanted: int = 0) -> int:
    """A free port, the wanted one if it is."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port()
        port: int = probe.getsockname()[1]
        return port
