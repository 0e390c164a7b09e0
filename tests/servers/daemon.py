"""healthd itself, as its users run it: a process with a configuration file."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from healthd.web.auth import hash_token
from tests.servers import forked
from tests.servers.ports import HOST, free_port
from tests.servers.process import DidNotStartError, Process, own_folder

TOKEN = "hd_of-the-tests"
"""Opens everything where a configuration says nothing else; who sends none may read."""
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
AUTH = {"trust_loopback": True, "tokens": [{"name": "tests", "hash": hash_token(TOKEN), "scopes": ["admin"]}]}
_ATTEMPTS = 3


@dataclass(frozen=True)
class Daemon:
    """A running daemon.

    What takes time is awaited, so that peers in the test's event loop go on answering the daemon meanwhile.
    """

    port: int
    process: Process
    file: Path
    """Its configuration."""
    host: str = HOST

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """All it wrote to its standard output and error."""
        return self.process.log()

    def configure(self, configuration: Mapping[str, object]) -> None:
        """Write another configuration, on the same address, and tell the daemon to read it (SIGHUP)."""
        _write(self.file, configuration, self.port)
        self.process.send(signal.SIGHUP)

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    async def start(self) -> None:
        """Start it again on the same port, after `stop` or `kill`."""
        await _start(self.process)

    async def stop(self) -> int:
        """SIGTERM, and wait until it has drained and ended; its exit code."""
        await asyncio.to_thread(self.process.stop, 30.0)
        code = self.process.exit_code
        assert code is not None
        return code

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        await asyncio.to_thread(self.process.kill)


@asynccontextmanager
async def running(
    configuration: Mapping[str, object],
    *,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Daemon]:
    """healthd with `configuration`, whose listening address is replaced by a free port."""
    with own_folder() as folder:
        daemon = await _start_on_free_port(folder, configuration, env or {})
        try:
            yield daemon
        finally:
            await daemon.kill()


async def _start_on_free_port(folder: Path, configuration: Mapping[str, object], env: Mapping[str, str]) -> Daemon:
    file = folder / "healthd.yaml"
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        _write(file, configuration, port)
        process = _prepare(file, port, env)
        try:
            await _start(process)
        except DidNotStartError as error:
            if not error.lost_port or attempt == _ATTEMPTS:
                raise
        else:
            return Daemon(port, process, file)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _prepare(file: Path, port: int, env: Mapping[str, str]) -> Process:
    fork = forked.possible(env)
    program = ["healthd"] if fork else [sys.executable, "-m", "healthd"]
    argv = [*program, "run", "--config", file]
    return Process(argv, lambda process: process.listens(port), log=file.with_name("log"), env=env, fork=fork)


async def _start(process: Process) -> None:
    # Launched in this thread: the kernel ends what was launched when the thread that did so goes away.
    if process.forks:
        forked.begun()
        await asyncio.to_thread(process.launch)
    else:
        process.launch()
    try:
        await asyncio.to_thread(process.await_ready)
    except asyncio.CancelledError:
        process.kill()
        raise


def _write(file: Path, configuration: Mapping[str, object], port: int) -> None:
    http = configuration.get("http", {})
    assert isinstance(http, Mapping)
    # JSON is YAML.
    file.write_text(json.dumps({"auth": AUTH, **configuration, "http": {**http, "listen": f"{HOST}:{port}"}}, indent=2))
