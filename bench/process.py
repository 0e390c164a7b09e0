"""A server under measurement: its own process on a free port, ended by its id, and what it used."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from urllib.error import URLError
from urllib.request import urlopen

import psutil


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    pid: int
    seconds_to_first_answer: float

    def cpu_seconds(self) -> float:
        """What it has used so far, in user and system mode, over all its threads."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serving(
    command: Callable[[int], list[str]], path: str, *, patience: float = 120, env: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Runs `command(port)` and waits until `path` answers 200. Raises TimeoutError."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    argv = command(port)
    start = monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)  # noqa: ASYNC220
    try:
        while not _answers(url):
            if process.poll() is not None or monotonic() - start > patience:
                raise TimeoutError(f"{' '.join(argv)} does not answer {url}")
            await asyncio.sleep(0.005)
        yield Served(url, process.pid, monotonic() - start)
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
