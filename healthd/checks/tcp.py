"""A TCP port: does something accept connections there and, where asked, greet as expected?"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, SecretStr, model_validator

from healthd.checks.connect import Endpoint, connect, explain
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.host import Host
from healthd.model import FailureKind, Result

_LONGEST_BANNER = 4096  # bytes


class TCPConfig(CheckConfig):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["tcp"] = "tcp"
    host: Host
    """Name or address of the host."""
    port: int = Field(ge=1, le=65535)
    """Port of the service."""
    send: SecretStr | None = None
    """Text to send first; it is secret."""
    expect: str | None = Field(None, min_length=1)
    """Text that the answer, or the banner, must contain."""

    @model_validator(mode="after")
    def _an_answer_is_looked_at(self) -> TCPConfig:
        if self.send is not None and self.expect is None:
            raise ValueError("send without expect: say what the answer must contain")
        return self


class TCP:
    """Connects, reads the banner if one is expected, and drops the connection."""

    config_model: ClassVar[type[CheckConfig]] = TCPConfig

    def __init__(self, config: TCPConfig, context: CheckContext) -> None:
        self._config = config
        self._endpoint = Endpoint(config.host, config.port)
        self._writer: asyncio.StreamWriter | None = None

    async def probe(self) -> Result:
        doing = f"no connection to {self._endpoint}"
        try:
            async with asyncio.timeout(self._config.patience):
                start = time.perf_counter()
                reader, self._writer = await asyncio.open_connection(sock=await connect(self._endpoint))
                latency = time.perf_counter() - start
                doing = f"{self._endpoint} accepts connections but did not say what is expected"
                if self._config.expect is None or await self._greets(reader, self._writer, self._config.expect):
                    return Result.healthy(latency=latency)
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, f"{doing} within {self._config.patience:g} s")
        except OSError as error:
            return Result.unhealthy(*explain(error, self._endpoint))
        finally:
            await self.close()
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"{self._endpoint} does not greet as expected")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _greets(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, expected: str) -> bool:
        """Return true if `expected` arrives before the peer closes the connection or sends too much."""
        if self._config.send is not None:
            writer.write(self._config.send.get_secret_value().encode())
            await writer.drain()
        said = b""
        while expected.encode() not in said:
            piece = await reader.read(_LONGEST_BANNER)
            said += piece
            if not piece or len(said) > _LONGEST_BANNER:
                return False
        return True
