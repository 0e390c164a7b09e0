"""The readers of this process, one for each file and each address of syslog, for as long as any gate needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from healthd_gates.sources.access_log.file_reader import Answer, Ask


class Reader(Protocol):
    """Counts the lines of one log for several gates."""

    def join(self, ask: Ask) -> None: ...

    def leave(self, ask: Ask) -> None: ...

    async def collect(self, ask: Ask, since: Any, seconds: float) -> Answer: ...

    async def close(self) -> None: ...


_readers: dict[tuple[int, str], tuple[Reader, list[Ask]]] = {}  # by event loop and name


class Membership:
    """A gate's part in a shared reader."""

    def __init__(self, name: str, build: Callable[[], Reader], ask: Ask) -> None:
        self._key = (id(asyncio.get_running_loop()), name)
        if self._key not in _readers:
            _readers[self._key] = (build(), [])
        self.reader, asks = _readers[self._key]
        self.reader.join(ask)
        asks.append(ask)
        self._ask = ask

    async def close(self) -> None:
        """Leave; the last one closes the reader."""
        reader, asks = _readers[self._key]
        reader.leave(self._ask)
        asks.remove(self._ask)
        if not asks:
            del _readers[self._key]
            await reader.close()
