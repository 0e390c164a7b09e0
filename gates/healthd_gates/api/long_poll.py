"""Holds a call open until a gate has its verdict, the caller disconnects, or the daemon stops."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from aiohttp import web

from healthd.runtime.clock import Clock
from healthd.runtime.descriptors import most_connections
from healthd.web.problems import Problem
from healthd_gates.api.operation import Call
from healthd_gates.domain.errors import Draining
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.service import GateService

_SLICE = 5.0  # seconds between two checks for a caller that disconnected


class Patience:
    """Waits for verdicts, until `stop` releases all waiting callers.

    Each waiting caller holds a connection: their number is limited, and one caller gets half of it.
    """

    def __init__(self, gate_service: GateService, clock: Clock, at_most: int | None = None) -> None:
        self._gate_service, self._clock = gate_service, clock
        self._at_most = at_most or most_connections() // 2
        self._held: Counter[str] = Counter()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    def lasts(self, request: web.Request) -> bool:
        """True if it still makes sense to hold this call open."""
        return not self._stopped.is_set() and request.transport is not None and not request.transport.is_closing()

    @contextmanager
    def hold(self, caller: str) -> Iterator[None]:
        """Take a place among the waiting callers. Raises Problem 429."""
        if self._held[caller] >= self._at_most // 2 or self._held.total() >= self._at_most:
            raise Problem(
                429,
                "Too many calls are held open",
                f"{caller} waits in {self._held[caller]} calls: ask without wait",
                headers={"Retry-After": "5"},
            )
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1

    async def wait(self, call: Call[Any, Any], gate: Gate, seconds: float) -> Gate:
        """Return the gate once it is answered or the seconds have passed.

        Infinite seconds mean until the verdict. Raises Draining when that cannot be waited for: a call that asked for
        the verdict is never answered without one; and Problem when the caller may no longer read, or too many wait.
        """
        if seconds <= 0 or gate.is_answered:
            return gate
        with self.hold(call.caller.name):
            return await self._wait(call, gate, seconds)

    async def _wait(self, call: Call[Any, Any], gate: Gate, seconds: float) -> Gate:
        end = self._clock.steady() + seconds
        while not gate.is_answered and (left := end - self._clock.steady()) > 0 and self.lasts(call.request):
            waiting = asyncio.create_task(self._gate_service.wait(gate.id, min(left, _SLICE)), name=f"wait:{gate.id}")
            try:
                if await self.sees(waiting):
                    gate = waiting.result()
            finally:
                waiting.cancel()
            await call.ask_again()
        if seconds == inf and not gate.is_answered:
            raise Draining
        return gate

    async def sees(self, task: asyncio.Task[Any], seconds: float | None = None) -> bool:
        """True if the task is done before so many seconds have passed and before the daemon stops."""
        stopped = asyncio.create_task(self._stopped.wait(), name="stop")
        try:
            await asyncio.wait({task, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        return task.done()
