"""Commands of protocols that start in the clear, before TLS begins."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Literal

StartTLS = Literal["smtp", "postgres"]

_POSTGRES_SSL_REQUEST = struct.pack("!II", 8, 80877103)  # PostgreSQL protocol 3.0, SSLRequest
_MOST_LINES = 100


class NoTLSOfferedError(Exception):
    """The server speaks its protocol but offers no TLS."""


async def _smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send STARTTLS as in RFC 3207."""
    await _smtp_reply(reader, "220")
    writer.write(b"EHLO healthd\r\n")
    await _smtp_reply(reader, "250")
    writer.write(b"STARTTLS\r\n")
    await _smtp_reply(reader, "220")


async def _smtp_reply(reader: asyncio.StreamReader, expected: str) -> None:
    for _ in range(_MOST_LINES):
        line = (await reader.readuntil(b"\n")).decode(errors="replace")
        if not line.startswith(expected):
            break
        if line[3:4] != "-":
            return
    raise NoTLSOfferedError


async def _postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_POSTGRES_SSL_REQUEST)
    if await reader.readexactly(1) != b"S":
        raise NoTLSOfferedError


_DIALOGUES: dict[StartTLS, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]] = {
    "smtp": _smtp,
    "postgres": _postgres,
}


async def prepare(protocol: StartTLS, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bring the server to the point where the handshake begins. Raises NoTLSOfferedError or OSError."""
    try:
        await _DIALOGUES[protocol](reader, writer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise NoTLSOfferedError from None
