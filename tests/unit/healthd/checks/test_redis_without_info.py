"""A Redis whose INFO is renamed or taken away, as some hosts harden it."""

import asyncio

from pydantic import SecretStr

from healthd.checks.contract import CheckContext
from healthd.checks.redis import Redis
from healthd.checks.redis_options import RedisConfig
from healthd.model import FailureKind
from healthd.runtime.clock import SystemClock
from tests.servers.ports import free_port


async def _hardened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line.strip().upper() == b"PING":
            writer.write(b"+PONG\r\n")
        elif line.strip().upper() == b"INFO":
            writer.write(b"-ERR unknown command 'INFO', with args beginning with: \r\n")
    writer.close()


async def test_it_is_told_with_the_cure() -> None:
    server = await asyncio.start_server(_hardened, "127.0.0.1", free_port())
    port = server.sockets[0].getsockname()[1]
    check = Redis(RedisConfig(uri=SecretStr(f"redis://127.0.0.1:{port}")), CheckContext("redis", SystemClock(), {}))
    async with server:
        result = await check.probe()
        await check.close()
    assert result.kind is FailureKind.PERMISSION
    assert "rename-command" in result.message
