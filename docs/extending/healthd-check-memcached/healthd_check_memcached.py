"""memcached: does it answer, and is there room for more connections?"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, Literal

from pydantic import Field

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.model import FailureKind, Result
from healthd.units import Ratio


class MemcachedConfig(CheckConfig):
    kind: Literal["memcached"] = "memcached"
    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = Field(11211, ge=1, le=65535)
    """On which port."""
    degraded: Ratio = 0.8
    """The share of the connections that it allows from which on it is degraded."""


class Memcached:
    """Asks for the statistics over a fresh connection."""

    config_model: ClassVar[type[CheckConfig]] = MemcachedConfig

    def __init__(self, config: MemcachedConfig, context: CheckContext) -> None:
        self._config = config
        self._writer: asyncio.StreamWriter | None = None

    async def probe(self) -> Result:
        start = time.perf_counter()
        try:
            reader, self._writer = await asyncio.open_connection(self._config.host, self._config.port)
            self._writer.write(b"stats\r\n")
            # A full server says so and hangs up, with a reset where the question was not read: its line comes first.
            line = await reader.readuntil(b"\r\n")
            if line.startswith(b"ERROR Too many open connections"):
                return Result.unhealthy(FailureKind.EXHAUSTED, "no connection is left")
            answer = line + await reader.readuntil(b"END\r\n")
        finally:
            await self.close()
        latency = time.perf_counter() - start
        return self._judge(dict(line.split(maxsplit=2)[1:] for line in answer.decode().splitlines()[:-1]), latency)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def _judge(self, stats: dict[str, str], latency: float) -> Result:
        used, allowed = int(stats["curr_connections"]), int(stats["max_connections"])
        observed = {"connections": used, "connectionsAllowed": allowed}
        if used >= self._config.degraded * allowed:
            text = f"{used} of {allowed} connections are in use"
            return Result.degraded(FailureKind.EXHAUSTED, text, latency=latency, observed=observed)
        return Result.healthy(latency=latency, observed=observed)
