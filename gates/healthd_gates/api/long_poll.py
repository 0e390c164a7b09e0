"""Holding a call open until a gate has its verdict, the caller goes away, or the daemon stops."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from aiohttp import web

from healthd.runtime.clock import Clock
from healthd_gates.domain.errors import Draining
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.service import GateService

_SLICE = 5.0  # seconds between two looks for a caller who went away


class Patience:
    """Waits for verdicts, until `stop` lets go of everyone who waits."""

    def __init__(self, gate_service: GateService, clock: Clock) -> None:
        self._gate_service, self._clock = gate_service, clock
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    def lasts(self, request: web.Request) -> bool:
        """Whether it still makes sense to hold this call open."""
        return not self._stopped.is_set() and request.transport is not None and not request.transport.is_closing()

    async def wait(self, request: web.Request, gate: Gate, seconds: float) -> Gate:
        """The gate as it stands once it is answered or the seconds have passed.

        Infinite seconds mean until the verdict. Raises Draining when that cannot be waited for: a call that asked
        for the verdict is never answered without one.
        """
        end = self._clock.steady() + seconds
        while not gate.is_answered and (left := end - self._clock.steady()) > 0 and self.lasts(request):
            waiting = asyncio.create_task(self._gate_service.wait(gate.id, min(left, _SLICE)), name=f"wait:{gate.id}")
            try:
                if await self.sees(waiting):
                    gate = waiting.result()
            finally:
                waiting.cancel()
        if seconds == inf and not gate.is_answered:
            raise Draining
        return gate

    async def sees(self, task: asyncio.Task[Any], seconds: float | None = None) -> bool:
        """Whether the task is done before so many seconds have passed and before the daemon stops."""
        stopped = asyncio.create_task(self._stopped.wait(), name="stop")
        try:
            await asyncio.wait({task, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        return task.done()
