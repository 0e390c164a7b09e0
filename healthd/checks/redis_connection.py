"""One connection to Redis: opened when first needed, dropped at once, its errors mapped to failure kinds.

The commands and the meaning of the replies are in `redis.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import SecretStr
from redis import exceptions as errors
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from healthd.addresses.files import MissingFile, files_of, missing_file
from healthd.addresses.redis import read_redis
from healthd.checks.database import first_line
from healthd.checks.failures import classify
from healthd.checks.refused import in_words
from healthd.model import FailureKind, Result
from healthd.runtime.clock import Clock

T = TypeVar("T")


def readable(uri: SecretStr) -> SecretStr:
    """Return `uri` when the driver takes it. Raises ValueError, never with any part of the value."""
    try:
        ConnectionPool.from_url(read_redis(uri.get_secret_value())[0]).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, errors.RedisError):
        raise ValueError("has a value that the Redis driver does not take: see its words for TLS and db") from None
    return uri


# Errors of a server, or of the network to it; any other is a bug of ours and left to the monitor.
FAILURES: tuple[type[Exception], ...] = (errors.RedisError, OSError, EOFError)

_KINDS: dict[type[BaseException], FailureKind] = {
    errors.AuthenticationError: FailureKind.AUTH,
    errors.NoPermissionError: FailureKind.PERMISSION,
    errors.BusyLoadingError: FailureKind.NOT_PRIMARY,
    errors.OutOfMemoryError: FailureKind.EXHAUSTED,
    errors.ReadOnlyError: FailureKind.READ_ONLY,
    errors.ClusterDownError: FailureKind.NOT_PRIMARY,
    errors.TimeoutError: FailureKind.TIMEOUT,
    errors.ResponseError: FailureKind.UNEXPECTED_RESPONSE,
    MissingFile: FailureKind.MISCONFIGURED,
    errors.InvalidResponse: FailureKind.UNEXPECTED_RESPONSE,
}
_REFUSALS = {  # errors for which the driver has no class, by the start of the server's message
    "DENIED": FailureKind.PERMISSION,
    "MISCONF": FailureKind.READ_ONLY,
    "NOREPLICAS": FailureKind.READ_ONLY,
    "max number of clients": FailureKind.EXHAUSTED,
    "DB index": FailureKind.MISCONFIGURED,
    "SELECT is not allowed in cluster mode": FailureKind.MISCONFIGURED,
    "invalid DB index": FailureKind.MISCONFIGURED,
}


class Connection:
    """At most one open connection."""

    def __init__(self, uri: SecretStr, clock: Clock, patience: float) -> None:
        """Create a connection. `patience`: seconds that a probe has; a connection of an earlier probe gets at most
        half. Raises ValueError for what the driver does not take."""
        self._patience = patience
        readable(uri)
        (self._uri, _), self._clock = read_redis(uri.get_secret_value()), clock
        self._may_be_plain = self._uri.startswith("rediss:")  # until it has answered over TLS
        self._open: AbstractConnection | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def probed(self, look: Callable[[], Awaitable[T]]) -> T | Result:
        """Return what a look at the server within the patience finds, or the result of its failure; a connection that
        failed is dropped."""
        try:
            async with asyncio.timeout(self._patience):
                return await look()
        except TimeoutError:
            result = Result.unhealthy(FailureKind.TIMEOUT, self._waited_for())
        except FAILURES as error:
            result = failure(error)
        self.drop()
        return result

    async def ping(self) -> tuple[float, errors.ResponseError | None]:
        """Return the seconds until PING is answered, on a connection that works; and the answer where it is an
        error."""
        if self._open is not None and self._open.is_connected:
            try:
                async with asyncio.timeout(self._patience / 2):
                    return await self._ping()
            except FAILURES:
                # It may have died since its last use, or be forgotten by a firewall on the way, which then is
                # silent: only a new one proves anything.
                self.drop()
        try:
            await self._connect()
            return await self._ping()
        except errors.ConnectionError as error:
            if type(error) is errors.ConnectionError and (said := await self._last_words()):
                raise errors.ResponseError(said) from None
            raise

    async def ask(self, *command: str) -> Any:
        """Return the reply to a command on the connection that `ping` opened."""
        assert self._open is not None, "ping first"
        await self._open.send_command(*command)
        return await self._open.read_response()

    async def figures(self, *command: str) -> dict[str, str]:
        """Return the `name:value` lines of INFO and similar commands."""
        lines = str(await self.ask(*command)).splitlines()
        return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}

    def _waited_for(self) -> str:
        """Return the message for a timeout: what the probe was waiting for."""
        if self._open is not None and self._streams is not None:
            return f"connected, but not answered within {self._patience:g} s"
        silent = f"no connection within {self._patience:g} s: the server, or the way to it, is silent"
        return f"{silent}; perhaps it speaks no TLS at this port" if self._may_be_plain else silent

    def drop(self) -> None:
        """Drop the connection without a goodbye: over TLS even that waits for the peer."""
        streams, self._streams, self._open = self._streams, None, None
        if streams is not None:
            streams[1].transport.abort()

    async def _connect(self) -> None:
        if (files := files_of(self._uri)) and (missing := await asyncio.to_thread(missing_file, files)) is not None:
            raise MissingFile(missing)
        pool = ConnectionPool.from_url(
            self._uri,
            protocol=2,  # no notifications in between
            socket_timeout=None,  # the probe's deadline is the only one
            socket_connect_timeout=None,
            decode_responses=True,
            encoding_errors="replace",
            redis_connect_func=self._log_in,
            driver_info=None,  # one command less that an ACL rule may forbid
        )
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._open = connection
        await connection.connect()  # type: ignore[no-untyped-call]

    async def _log_in(self, connection: AbstractConnection) -> None:
        # The driver drops its streams before they are closed.
        if connection._reader is not None and connection._writer is not None:
            self._streams, self._may_be_plain = (connection._reader, connection._writer), False
        await connection.on_connect()

    async def _last_words(self) -> str:
        """Return what a server sent before it closed the connection: a full one refuses without waiting for a
        command."""
        if self._streams is None:
            return ""
        reader, writer = self._streams
        writer.transport.abort()
        try:
            said = await reader.read(512)
        except OSError:
            return ""
        return said.decode(errors="replace").strip().removeprefix("-ERR ")

    async def _ping(self) -> tuple[float, errors.ResponseError | None]:
        start = self._clock.steady()
        refusal: errors.ResponseError | None = None
        try:
            await self.ask("PING")
        except (errors.NoPermissionError, errors.AuthenticationError):
            raise
        except errors.BusyLoadingError:
            pass  # INFO says more
        except errors.ResponseError as error:
            refusal = error
        return self._clock.steady() - start, refusal


def failure(error: BaseException, **seen: Any) -> Result:
    """Return the result for one of FAILURES."""
    text = first_line(error)
    for beginning, kind in _REFUSALS.items():
        if text.startswith(beginning):
            return Result.unhealthy(kind, text, **seen)
    for kind_of_error in type(error).__mro__:
        if kind_of_error in _KINDS:
            return Result.unhealthy(_KINDS[kind_of_error], in_words(text), **seen)
    text, kind = in_words(text), classify(error)
    if kind is FailureKind.INTERNAL and isinstance(error, errors.ConnectionError):
        kind = FailureKind.CONNECT
    return Result.unhealthy(kind, text, **seen)
