"""Listeners at the address that a driver is about to connect to. A driver that looks for servers until its time is over
tells of a closed port only then."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence

_PATIENCE = 0.5  # seconds; what has not answered until then is left to the driver


async def require_listener(hosts: Sequence[tuple[str, int]]) -> None:
    """Return when one of the hosts takes a connection, or may still take one. Raises ConnectionRefusedError, with one
    place, if every one of them refuses it."""
    attempts = {asyncio.create_task(_refuses(host, port)) for host, port in hosts}
    try:
        done, pending = await asyncio.wait(attempts, timeout=_PATIENCE)
    finally:
        for attempt in attempts:
            attempt.cancel()
    if attempts and not pending and all(attempt.result() for attempt in done):
        host, port = hosts[0]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise ConnectionRefusedError(f"{place}: [Errno {errno.ECONNREFUSED}] Connection refused")


async def _refuses(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:  # of several addresses of one name asyncio keeps the errors as text
        return f"[Errno {errno.ECONNREFUSED}]" in str(error)
    writer.close()
    return False
