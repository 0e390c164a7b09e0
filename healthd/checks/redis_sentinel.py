"""Redis Sentinel: what all Sentinels that are named say of one master. What that means is in `sentinel_state.py`."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from redis import exceptions as errors

from healthd.checks import redis_connection as redis
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.sentinel_state import RedisSentinelConfig, View, judge
from healthd.model import FailureKind, Result


class RedisSentinel:
    """Asks every Sentinel at once, each over a connection of its own that stays open."""

    config_model: ClassVar[type[CheckConfig]] = RedisSentinelConfig

    def __init__(self, config: RedisSentinelConfig, context: CheckContext) -> None:
        self._config = config
        self._connections = [redis.Connection(uri, context.clock, config.patience) for uri in config.sentinels]

    async def probe(self) -> Result:
        asked = [connection.probed(_Look(connection, self._config.master)) for connection in self._connections]
        return judge(await asyncio.gather(*asked), self._config)

    async def close(self) -> None:
        for connection in self._connections:
            connection.drop()


class _Look:
    """One look at one Sentinel."""

    def __init__(self, connection: redis.Connection, master: str) -> None:
        self._connection, self._master = connection, master

    async def __call__(self) -> View | Result:
        latency, refusal = await self._connection.ping()
        if refusal is not None:
            raise refusal
        try:
            told = _pairs(await self._ask("MASTER"))
        except errors.NoPermissionError:
            raise
        except errors.ResponseError as error:
            if "no such master" in str(error).lower():
                return Result.unhealthy(FailureKind.MISCONFIGURED, f"knows no master {self._master}")
            if str(error).lower().startswith("unknown command"):
                return Result.unhealthy(
                    FailureKind.MISCONFIGURED, "is no Sentinel: give its address, not that of a Redis"
                )
            raise
        replicas = [_pairs(each) for each in await self._ask("REPLICAS")]
        return View(told, tuple(replicas), await self._lacks_quorum(), latency)

    async def _lacks_quorum(self) -> str | None:
        """Return why no failover would be possible, in the Sentinel's words; None if one is."""
        try:
            await self._ask("CKQUORUM")
        except errors.NoPermissionError:
            raise
        except errors.ResponseError as error:
            if not str(error).startswith("NOQUORUM"):
                raise
            return str(error).removeprefix("NOQUORUM ").strip()
        return None

    async def _ask(self, word: str) -> Any:
        return await self._connection.ask("SENTINEL", word, self._master)


def _pairs(reply: Any) -> dict[str, str]:
    """Return names and values, which stand one after the other in a reply."""
    return {str(name): str(value) for name, value in zip(reply[::2], reply[1::2], strict=False)}
