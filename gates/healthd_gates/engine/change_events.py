"""Notifies those who wait for a gate that it has changed. Only for gates that run here; others must be polled."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class ChangeEvents:
    """Callers take an event before they read, so that no change between reading and waiting is missed."""

    def __init__(self) -> None:
        self._expected: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def expect(self, gate_id: str) -> asyncio.Event:
        """Return an event that the next change of the gate sets."""
        event = self._expected.get(gate_id)
        if event is None:
            event = self._expected[gate_id] = asyncio.Event()
        return event

    def publish(self, gate_id: str) -> None:
        if (event := self._expected.pop(gate_id, None)) is not None:
            event.set()
