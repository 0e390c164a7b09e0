"""Queue of BullMQ or Bull, job queues of Node.js in Redis: how long jobs wait, and whether anyone works."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import ClassVar

from healthd.checks import redis_connection as redis
from healthd.checks.bullmq_state import BullMQConfig, Queue, judge
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.model import Result

_HOUR = 3_600_000  # milliseconds
_MARKER = "0:"  # begins what BullMQ 4 put among the waiting jobs to wake workers


class BullMQ:
    """Reads the keys of one queue over one connection, and the names of the clients."""

    config_model: ClassVar[type[CheckConfig]] = BullMQConfig

    def __init__(self, config: BullMQConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._connection = redis.Connection(config.uri, context.clock, config.patience)
        self._key = f"{config.prefix}:{config.queue}:"
        self._client = f"{config.prefix}:{base64.b64encode(config.queue.encode()).decode()}"

    async def probe(self) -> Result:
        return await self._connection.probed(self._look)

    async def close(self) -> None:
        self._connection.drop()

    async def _look(self) -> Result:
        latency, refusal = await self._connection.ping()
        if refusal is not None:
            raise refusal
        return replace(judge(await self._queue(), self._config), latency=latency)

    async def _queue(self) -> Queue:
        ask, key = self._connection.ask, self._key
        now = self._clock.now().timestamp()
        waiting, paused_jobs = await ask("LLEN", f"{key}wait"), await ask("LLEN", f"{key}paused")
        prioritized, delayed = await ask("ZCARD", f"{key}prioritized"), await ask("ZCARD", f"{key}delayed")
        first = [
            await ask("LINDEX", f"{key}wait", "-1"),
            await ask("LINDEX", f"{key}paused", "-1"),
            *await ask("ZRANGE", f"{key}prioritized", "0", "0"),
            *await ask("ZRANGE", f"{key}prioritized", "-1", "-1"),
        ]
        since = [await self._waits_since(job) for job in first if job and not job.startswith(_MARKER)]
        ages = [now - each for each in since if each is not None]
        return Queue(
            exists=bool(await ask("EXISTS", f"{key}meta", f"{key}id")),
            waiting=waiting + paused_jobs + prioritized,
            active=await ask("LLEN", f"{key}active"),
            delayed=delayed,
            failed=await ask("ZCOUNT", f"{key}failed", str(int(now * 1000) - _HOUR), "+inf"),
            oldest=max(0.0, *ages) if ages else None,
            paused=await ask("HGET", f"{key}meta", "paused") == "1" or bool(await ask("EXISTS", f"{key}meta-paused")),
            workers=await self._workers() if self._config.workers else None,
        )

    async def _waits_since(self, job: str) -> float | None:
        """Return when a job began to wait, in Unix seconds: when it was added, its delay was over, or when it was last
        tried. None if it is gone. Once a delay is over only the job's options tell of it."""
        fields = ("timestamp", "opts", "finishedOn")
        added, options, tried = await self._connection.ask("HMGET", f"{self._key}{job}", *fields)
        try:
            delay = json.loads(options or "{}").get("delay", 0)
            return max(float(added) + float(delay), float(tried or 0)) / 1000
        except (TypeError, ValueError, AttributeError):
            return None

    async def _workers(self) -> int:
        """Return the number of connected workers. Each names its connection after the queue, and perhaps itself."""
        clients = str(await self._connection.ask("CLIENT", "LIST")).splitlines()
        names = [word.removeprefix("name=") for line in clients for word in line.split() if word.startswith("name=")]
        return sum(name == self._client or name.startswith(f"{self._client}:w:") for name in names)
