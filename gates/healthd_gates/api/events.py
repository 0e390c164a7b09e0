"""`GET /gates/{id}/events`: a gate's log as server-sent events, as it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aiohttp import web

from healthd.web.problems import Problem
from healthd_gates.api.long_poll import Patience
from healthd_gates.api.operation import Answer, Call, Header, Nothing, Operation
from healthd_gates.api.requests import EventsQuery
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.gate import EventKind, Gate, GateEvent
from healthd_gates.engine.service import GateService
from healthd_gates.schema.gate import EventDocument

_HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 5.0
_RECONNECT_MS = 2000


class Events:
    """The operation; each caller has a stream."""

    def __init__(self, gate_service: GateService, patience: Patience) -> None:
        self._gate_service, self._patience = gate_service, patience

    def operations(self) -> list[Operation]:
        return [
            Operation(
                name="follow_gate",
                method="GET",
                path="/gates/{gate_id}/events",
                scope="gates:read",
                summary="The gate's log as it is written, up to its verdict.",
                handle=self._follow,
                query=EventsQuery,
                headers={
                    "Last-Event-ID": Header(
                        "The last event that was seen; the stream goes on after it.", "^[0-9]{1,18}$"
                    )
                },
                answers={
                    200: Answer("A stream; each event's data is an EventDocument.", EventDocument, "text/event-stream"),
                    204: Answer("There is nothing more to come; do not ask again."),
                },
                refusals={400: "Last-Event-ID is not a number."},
            )
        ]

    async def _follow(self, call: Call[Nothing, EventsQuery]) -> web.StreamResponse:
        after = _last_seen(call.request)
        gate = await self._gate_service.get(call.gate_id)
        last = await self._last_event(gate, call.query)
        if last is not None and after >= last:
            return web.Response(status=204, headers={"Cache-Control": "no-store"})
        with self._patience.hold(call.caller.name):
            return await self._send(call, after, last)

    async def _send(self, call: Call[Nothing, EventsQuery], after: int, last: int | None) -> web.StreamResponse:
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await stream.prepare(call.request)
        try:
            await stream.write(f"retry: {_RECONNECT_MS}\n\n".encode())
            async with aclosing(self._log(call, after)) as log:
                async for event in log:
                    await stream.write(b": heartbeat\n\n" if event is None else _frame(event))
                    if event is not None and _is_last(event, last, call.query):
                        break
        except (ConnectionResetError, Refusal, Problem):  # gone, or must ask again: the journal is down, the token too
            pass
        return stream

    async def _last_event(self, gate: Gate, query: EventsQuery) -> int | None:
        """Return the number of the event that ends the stream, if it is known already."""
        if query.until == "over" or gate.decision is None:
            return gate.sequence if gate.state.is_over else None
        async with aclosing(self._gate_service.events(gate.id)) as log:
            async for event in log:
                if event.kind is EventKind.DECISION or event.sequence >= gate.sequence:
                    return event.sequence
        return gate.sequence

    async def _log(self, call: Call[Nothing, EventsQuery], after: int) -> AsyncGenerator[GateEvent | None]:
        """Yield the events, and None when it is time for a heartbeat. Ends with the log, or when the daemon stops."""
        log = self._gate_service.events(call.gate_id, after)
        silent = 0.0
        coming: asyncio.Task[GateEvent | None] | None = None
        try:
            while self._patience.lasts(call.request):
                coming = coming or asyncio.create_task(_next(log), name=f"events of {call.gate_id}")
                has_come = await self._patience.sees(coming, _LOOK_SECONDS)
                await call.ask_again()
                if has_come:
                    event, coming, silent = coming.result(), None, 0.0
                    if event is None:
                        return
                    yield event
                elif (silent := silent + _LOOK_SECONDS) >= _HEARTBEAT_SECONDS:
                    silent = 0.0
                    yield None
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})
            await log.aclose()


async def _next(log: AsyncIterator[GateEvent]) -> GateEvent | None:
    return await anext(log, None)


def _last_seen(request: web.Request) -> int:
    """Return the number of the last event that the caller has; 0 for none. Raises Problem 400."""
    given = request.headers.get("Last-Event-ID", "").strip()
    if not given:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise Problem(400, "Bad Last-Event-ID", "Last-Event-ID: send back the id of the last event")
    return int(given)


def _is_last(event: GateEvent, last: int | None, query: EventsQuery) -> bool:
    if last is not None:
        return event.sequence >= last
    return query.until == "verdict" and event.kind is EventKind.DECISION


def _frame(event: GateEvent) -> bytes:
    data = EventDocument.of(event).model_dump_json()
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {data}\n\n".encode()
