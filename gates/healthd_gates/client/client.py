"""A client of the gate API, for the command line and for programs. It prints nothing and decides nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from healthd.runtime.web_address import WebAddress
from healthd_gates.client.credentials import Credentials, FixedToken
from healthd_gates.client.transport import Transport, Unreachable
from healthd_gates.schema.action import ActionsDocument, ActionTestDocument, RehearsalDocument
from healthd_gates.schema.evidence import EvidenceDocument
from healthd_gates.schema.gate import DryRunDocument, GateDocument, GatesDocument
from healthd_gates.schema.lock import LockDocument, LocksDocument, QuarantineDocument

DocumentT = TypeVar("DocumentT", bound=BaseModel)
_POLL = 25.0  # seconds to hold a call open: proxies cut connections that are silent for 30 or 60
_SILENCE = 60.0  # seconds after which a stream without a heartbeat is given up
_RECONNECT = 2.0
_LONGEST_TRY = 600.0  # timeout in seconds of a test of an action


class GateClient:
    """The gates of one daemon.

    Calls that fail on the way are retried for `retry_for` seconds: every call may be sent twice without harm, since a
    gate is started, and rolled back, under an idempotency key and the other calls are idempotent. Every method raises
    Refused or Unreachable. `waiting` is called with a sentence when one takes long: for what it waits, and how long.
    """

    def __init__(
        self,
        url: str,
        token: str | Credentials | None = None,
        *,
        retry_for: float = 60.0,
        timeout: float = 15.0,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        credentials = FixedToken(token) if token is None or isinstance(token, str) else token
        self._transport = Transport(url, credentials, retry_for=retry_for, timeout=timeout, waiting=waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def verify(self, request: Mapping[str, Any], *, key: str | None = None) -> GateDocument:
        """Start a gate, or join the one that was started with the same idempotency key. Does not wait for the
        verdict."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return await self._ask(GateDocument, "POST", "/gates/verify", body=request, headers=headers, fine=(412,))

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        """Return what is doubtful about a gate that could start now. Starts none; raises Refused as `verify`."""
        return await self._ask(DryRunDocument, "POST", "/gates/verify/dry-run", body=request)

    async def gate(self, gate_id: str, *, wait: float = 0.0) -> GateDocument:
        """Return one gate; with `wait`, once it is answered or after that many seconds."""
        query = {"wait": f"{wait:g}s"} if wait else {}
        return await self._ask(GateDocument, "GET", f"/gates/{gate_id}", query=query, held=wait)

    async def verdict(self, gate_id: str) -> GateDocument:
        """Return the gate once it is answered, however long that takes."""
        while True:
            gate = await self.gate(gate_id, wait=_POLL)
            if gate.is_answered:
                return gate
            await asyncio.sleep(_RECONNECT)  # a daemon that stops releases the call at once

    async def follow(
        self, gate_id: str, *, every: float = 2.0, to_the_end: bool = False
    ) -> AsyncGenerator[GateDocument]:
        """Yield the gate at each of its events and at least every `every` seconds, until its verdict.

        With `to_the_end` also through its watch and rollback. A broken stream only makes this slower.
        """
        news = asyncio.Event()
        until = "over" if to_the_end else "verdict"
        listener = asyncio.create_task(self._listen(gate_id, until, news), name=f"events of {gate_id}")
        try:
            while True:
                news.clear()
                gate = await self.gate(gate_id)
                yield gate
                if gate.state.is_over or (gate.is_answered and not to_the_end):
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await news.wait()
        finally:
            listener.cancel()
            await asyncio.wait({listener})

    async def gates(self, **query: Any) -> GatesDocument:
        """Return a page of gates, newest first; `service`, `state`, `policy`, `deployment`, `limit`, `before`."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self._ask(GatesDocument, "GET", "/gates", query=given)

    async def cancel(self, gate_id: str, reason: str) -> GateDocument:
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/cancel", body={"reason": reason})

    async def switched(self, gate_id: str) -> GateDocument:
        """Tell a gate that awaits it that the traffic is switched."""
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/switched")

    async def approve(self, gate_id: str, reason: str) -> GateDocument:
        """Pass a held gate, as a person's verdict."""
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/approve", body={"reason": reason})

    async def reject(self, gate_id: str, reason: str) -> GateDocument:
        """Fail a held gate, as a person's verdict."""
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/reject", body={"reason": reason})

    async def pause(self, gate_id: str, reason: str) -> GateDocument:
        """Stop a ramp where it is."""
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/pause", body={"reason": reason})

    async def resume(self, gate_id: str, reason: str, *, pause: int | None = None) -> GateDocument:
        """Let a ramp go on; with the number of a pause, that one alone."""
        body = {"reason": reason} | ({"pause": pause} if pause is not None else {})
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/resume", body=body)

    async def rollback(self, gate_id: str, reason: str) -> GateDocument:
        body = {"reason": reason, "idempotency_key": str(uuid.uuid4())}
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/rollback", body=body)

    async def test_action(self, action: str, asked: Mapping[str, Any]) -> ActionTestDocument:
        """Return what an action would do for a service; with `run`, the result of an attempt."""
        return await self._ask(ActionTestDocument, "POST", f"/actions/{action}/test", body=asked, held=_LONGEST_TRY)

    async def give_up(self, gate_id: str, reason: str, *, done: bool = False) -> GateDocument:
        """End a rollback; `done` says that the traffic was put back by hand."""
        body = {"reason": reason, "done": done}
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/rollback/give-up", body=body)

    async def put_back(self, gate_id: str, reason: str) -> GateDocument:
        """Tell that the deploy tool has put the traffic back itself, so that no action has to."""
        return await self._ask(GateDocument, "POST", f"/gates/{gate_id}/rollback/put-back", body={"reason": reason})

    async def rehearse(self, gate_id: str) -> RehearsalDocument:
        """Return what a rollback would do now."""
        return await self._ask(RehearsalDocument, "GET", f"/gates/{gate_id}/rollback")

    async def actions(self, gate_id: str) -> ActionsDocument:
        """Return the actions that the gate's verdict called for, and their results."""
        return await self._ask(ActionsDocument, "GET", f"/gates/{gate_id}/actions")

    async def evidence(self, gate_id: str) -> EvidenceDocument:
        """Return the numbers of the gate's looks that are stored."""
        return await self._ask(EvidenceDocument, "GET", f"/gates/{gate_id}/evidence")

    async def push(self, gate_id: str, evidence: Mapping[str, Any]) -> None:
        """Send counts. A push without an `id` gets one, so that a retry counts once."""
        body = {"id": str(uuid.uuid4()), **evidence}
        (await self._transport.send("POST", f"/gates/{gate_id}/evidence", body=body)).check()

    async def lock(
        self,
        service: str,
        holder: str,
        seconds: float,
        reason: str,
        *,
        exclusive: bool = False,
        instead_of: str | None = None,
    ) -> LockDocument:
        """Take or prolong a deploy lock; an `exclusive` one is refused while the holder has it for another reason than
        this one, or the one it comes `instead_of`."""
        body: dict[str, Any] = {"holder": holder, "for": f"{seconds:g}s", "reason": reason}
        if exclusive:
            body |= {"exclusive": True, "instead_of": instead_of}
        return await self._ask(LockDocument, "POST", f"/locks/{service}", body=body)

    async def unlock(self, service: str, holder: str) -> None:
        (await self._transport.send("DELETE", f"/locks/{service}", query={"holder": holder})).check()

    async def locks(self) -> LocksDocument:
        return await self._ask(LocksDocument, "GET", "/locks")

    async def quarantine(self) -> QuarantineDocument:
        return await self._ask(QuarantineDocument, "GET", "/quarantine")

    async def unquarantine(self, service: str, version: str, reason: str) -> None:
        asked = {"version": version, "reason": reason}
        (await self._transport.send("DELETE", f"/quarantine/{service}", query=asked)).check()

    async def _ask(
        self, model: type[DocumentT], method: str, path: str, *, fine: tuple[int, ...] = (), **sent: Any
    ) -> DocumentT:
        answered = await self._transport.send(method, path, **sent)
        if answered.status not in fine:
            answered.check()
        try:
            return model.model_validate_json(answered.body)
        except ValidationError:
            raise Unreachable(
                f"{WebAddress(self._transport.url).masked} answers, and not as healthd does: does it lead to the"
                " daemon, and not to an application or a proxy?"
            ) from None

    async def _listen(self, gate_id: str, until: str, news: asyncio.Event) -> None:
        """Set `news` at each event. Errors of the stream are ignored: the regular polling continues."""
        last = ""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=15.0, sock_read=_SILENCE)
        url = f"{self._transport.url}/gates/{gate_id}/events"
        while True:
            try:
                identified = await self._transport.authorization()
                headers = {"Accept": "text/event-stream", "Last-Event-ID": last, **identified}
                async with self._transport.session.get(
                    url, params={"until": until}, headers=headers, timeout=limit, allow_redirects=False
                ) as response:
                    if response.status != 200:
                        return
                    async for line in response.content:
                        if line.startswith(b"id: "):
                            last = line[4:].strip().decode("ascii", "replace")
                        elif line.startswith(b"data:"):
                            news.set()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            await asyncio.sleep(_RECONNECT)
