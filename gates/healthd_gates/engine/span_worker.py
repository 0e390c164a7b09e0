"""Reads the log of a gate whose span has ended, and hands the span over. Nothing waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import structlog

from healthd.journal.database import JournalError
from healthd.otlp.span import Span
from healthd_gates.domain.gate import Gate, GateEvent, GateState
from healthd_gates.engine.spans import is_told, last_span
from healthd_gates.store.gate_store import GateStore

_log = structlog.get_logger(__name__)
_MOST = 1000  # gates whose logs wait to be read; of more, the newest have no span
_MOST_LINES = 20_000  # of a log that are read
_PAGE = 500
_AGAIN = 5.0  # seconds after which a journal that is away is asked again
_SUPERSEDED = 30.0  # seconds between two looks for watches that another deploy has ended


class SpanSink(Protocol):
    """Destination of spans."""

    @property
    def wants_spans(self) -> bool: ...

    def emit(self, span: Span) -> None:
        """Take a span. Neither blocks nor fails."""


class NoSpans:
    """Takes no spans."""

    wants_spans = False

    def emit(self, span: Span) -> None: ...


class SpanWorker:
    """Hands over a span for each part of a gate's life that has ended here."""

    def __init__(self, gate_store: GateStore, sink: Callable[[], SpanSink]) -> None:
        self._gate_store, self._sink = gate_store, sink
        self._ended: deque[Gate] = deque()
        self._came, self._reading = asyncio.Event(), asyncio.Lock()
        self._watched: dict[str, Gate] = {}

    def changed(self, before: Gate, after: Gate) -> None:
        """Take notice of a stored step."""
        if not self._sink().wants_spans:
            self._watched.clear()
            return
        if after.state is GateState.WATCHING:
            self._watched[after.id] = after
        else:
            self._watched.pop(after.id, None)
        if is_told(before, after) and len(self._ended) < _MOST:
            self._ended.append(after)
            self._came.set()

    async def run(self) -> None:
        """Hand spans over until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_over_ended(), name="ended gates")
            tasks.create_task(self._hand_over_superseded(), name="superseded watches")

    async def flush(self) -> None:
        """Hand over what has ended by now. Raises JournalError."""
        async with self._reading:
            while self._ended:
                gate = self._ended[0]
                with _logged(gate.id):
                    await self._hand_over(gate)
                self._ended.popleft()

    async def _hand_over_ended(self) -> None:
        while True:
            await self._came.wait()
            try:
                await self.flush()
                self._came.clear()
            except JournalError:
                await asyncio.sleep(_AGAIN)

    async def _hand_over_superseded(self) -> None:
        """Look for watches that another deploy has ended, which is no step of their own."""
        while True:
            await asyncio.sleep(_SUPERSEDED)
            for gate_id in list(self._watched):
                with suppress(JournalError):
                    if await self._has_ended(gate_id):
                        self._watched.pop(gate_id, None)

    async def _hand_over(self, gate: Gate) -> None:
        log = [event for event in await self._log(gate.id) if event.sequence <= gate.sequence]
        if (span := last_span(gate, log)) is not None:
            self._sink().emit(span)

    async def _log(self, gate_id: str) -> list[GateEvent]:
        log: list[GateEvent] = []
        while page := await self._gate_store.events(gate_id, log[-1].sequence if log else 0, _PAGE):
            log += page
            if len(page) < _PAGE or len(log) >= _MOST_LINES:
                break
        return log

    async def _has_ended(self, gate_id: str) -> bool:
        """Return whether a watch has ended, after its span was handed over."""
        with _logged(gate_id):
            gate = await self._gate_store.find(gate_id)
            if gate is not None and gate.state is GateState.WATCHING:
                return False
            if gate is not None and gate.state.is_over:
                await self._hand_over(gate)
        return True


@contextmanager
def _logged(gate_id: str) -> Iterator[None]:
    """Log a bug that costs a gate its span: rollbacks and callbacks run beside this worker. A journal that is away is
    no bug."""
    try:
        yield
    except JournalError:
        raise
    except Exception:
        _log.exception("gate has no span", gate=gate_id)
