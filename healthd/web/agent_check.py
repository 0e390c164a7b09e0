"""HAProxy's agent-check: one line per connection, which sets the server's state and weight in the balancer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from healthd.config.listen_address import split_address
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.web.server import CannotListenError

GROUP = "ready"
_PATIENCE = 1.0  # seconds for a peer to read its answer


def answer(board: Board) -> str:
    """Return the state of the group `ready`, in the words of HAProxy's documentation (section 5.2, agent-check).

    `ready` cancels an earlier `drain`, and `100%` an earlier `50%`: HAProxy keeps both until changed.
    """
    if board.draining:
        return "drain\n"
    group = board.group(GROUP)
    if not group.ready:
        failing = [s.name for s in group.checks if s.maintenance is None and not s.counted.is_up]
        return f"down #not ready: {', '.join(failing)}\n"
    return "up ready 100%\n" if group.status is Status.HEALTHY else "up ready 50%\n"


async def listen(board: Board, address: str) -> asyncio.Server:
    """Answer until closed. Raises CannotListenError."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                writer.write(answer(board).encode())
                writer.write_eof()
                await reader.read()  # unread data would reset the connection, and the answer would be lost
        writer.transport.abort()

    host, port = split_address(address)
    try:
        return await asyncio.start_server(serve, host, port, limit=1024)
    except OSError as error:
        raise CannotListenError(address, error) from error
