"""Redis, as a single server, a replica or in a cluster: more than PING tells. The figures are judged in
`redis_state.py`."""

from __future__ import annotations

import secrets
from typing import ClassVar

from redis import exceptions as errors

from healthd.checks import redis_connection as redis
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.redis_options import RedisConfig
from healthd.checks.redis_state import Standing, judge
from healthd.model import FailureKind, Result, Status

_NO_INFO = (
    "it answers PING and has no command INFO, which tells role, memory and lag: give it back its name "
    "(rename-command), or check the port with tcp"
)
_TRIES = 64  # keys to try until one belongs to the node that was asked: one in three or so does


class Redis:
    """Queries one server over one connection."""

    config_model: ClassVar[type[CheckConfig]] = RedisConfig

    def __init__(self, config: RedisConfig, context: CheckContext) -> None:
        self._config = config
        self._connection = redis.Connection(config.uri, context.clock, config.patience)
        self._key = self._new_key()

    async def probe(self) -> Result:
        result = await self._connection.probed(self._look)
        if result.kind in (FailureKind.NOT_PRIMARY, FailureKind.READ_ONLY, FailureKind.UNEXPECTED_RESPONSE):
            self._connection.drop()  # after a failover the name resolves to another host: look it up again
        return result

    async def close(self) -> None:
        self._connection.drop()

    async def _look(self) -> Result:
        latency, refusal = await self._connection.ping()
        try:
            info = await self._connection.figures("INFO")
        except (errors.ConnectionError, OSError) as error:
            if refusal is not None:  # as in protected mode: the server explains once and closes
                raise refusal from error
            raise
        except errors.ResponseError as error:
            if str(error).lower().startswith("unknown command"):
                return Result.unhealthy(FailureKind.PERMISSION, _NO_INFO, latency=latency)
            raise
        cluster = await self._connection.figures("CLUSTER", "INFO") if info.get("cluster_enabled") == "1" else {}
        standing = Standing(info, cluster, refusal)
        result = judge(standing, self._config, latency)
        if self._config.canary and result.status is not Status.UNHEALTHY and standing.is_primary:
            return await self._try_to_write(result)
        return result

    async def _try_to_write(self, result: Result) -> Result:
        """Return `result`, unless a value that is written cannot be read back."""
        seen = {"latency": result.latency, "observed": result.observed}
        value = secrets.token_hex(8)
        try:
            await self._write(value)
            read = await self._connection.ask("GET", self._key)
        except errors.ResponseError as error:
            return redis.failure(error, **seen)
        if read != value:
            text = "the canary that was just written reads differently"
            return Result.unhealthy(
                FailureKind.UNEXPECTED_RESPONSE, text, latency=result.latency, observed=result.observed
            )
        return result

    async def _write(self, value: str) -> None:
        lifetime_ms = str(int(self._config.interval * 1000))
        for tries in range(_TRIES):
            try:
                await self._connection.ask("SET", self._key, value, "PX", lifetime_ms)
                return
            except errors.MovedError:  # in a cluster the key may belong to another node
                if tries == _TRIES - 1:
                    raise
                self._key = self._new_key()

    def _new_key(self) -> str:
        """Return a key that no other daemon writes to."""
        return f"{self._config.canary}:{secrets.token_hex(4)}"
