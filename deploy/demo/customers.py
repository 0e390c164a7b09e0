"""The customers: a steady stream of requests to the switch, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import aiohttp


@dataclass(slots=True)
class Served:
    """Outcome of a span of time: requests, failures, and when the first and the last failure came."""

    requests: int = 0
    failures: int = 0
    span: list[float] = field(default_factory=list)

    @property
    def seconds_of_failure(self) -> float:
        return self.span[-1] - self.span[0] if self.span else 0.0


class Customers:
    """Sends `rate` requests a second, whether or not the ones before were answered."""

    def __init__(self, url: str, rate: float) -> None:
        self._url, self._pause = url, 1 / rate
        self._counting: Served | None = None

    @contextmanager
    def counted(self) -> Iterator[Served]:
        """Counts what is answered within the block."""
        self._counting = served = Served()
        try:
            yield served
        finally:
            self._counting = None

    async def come(self) -> None:
        """Come until cancelled."""
        limit = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=limit) as session, asyncio.TaskGroup() as under_way:
            due = monotonic()
            while True:
                under_way.create_task(self._buy(session))
                due += self._pause
                await asyncio.sleep(max(0.0, due - monotonic()))

    async def _buy(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(self._url) as answer:
                failed = answer.status >= 500
        except (aiohttp.ClientError, TimeoutError):
            failed = True
        if (served := self._counting) is not None:
            served.requests += 1
            if failed:
                served.failures += 1
                served.span.append(monotonic())
