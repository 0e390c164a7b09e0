"""Holding a call open until a gate has its verdict, the caller goes away, or the daemon stops."""

from __future__ import annotations

from math import inf

from aiohttp import web

from gates.gate import Gate
from gates.gatekeeper import Gatekeeper
from gates.refusals import Draining
from healthd.clock import Clock

_SLICE = 5.0  # seconds between two looks for a caller who went away


class Patience:
    """Waits for verdicts. `stop` lets go of everyone who waits, within a slice."""

    def __init__(self, gatekeeper: Gatekeeper, clock: Clock) -> None:
        self._gatekeeper, self._clock = gatekeeper, clock
        self.stopping = False

    def stop(self) -> None:
        self.stopping = True

    async def wait(self, request: web.Request, gate: Gate, seconds: float) -> Gate:
        """The gate as it stands once it is answered or the seconds have passed.

        Infinite seconds mean until the verdict. Raises Draining when that cannot be waited for: a call that asked
        for the verdict is never answered without one.
        """
        end = self._clock.steady() + seconds
        while not gate.is_answered and (left := end - self._clock.steady()) > 0:
            if self.stopping or gone(request):
                break
            gate = await self._gatekeeper.wait(gate.id, min(left, _SLICE))
        if seconds == inf and not gate.is_answered:
            raise Draining
        return gate


def gone(request: web.Request) -> bool:
    """Whether the caller has hung up."""
    return request.transport is None or request.transport.is_closing()
