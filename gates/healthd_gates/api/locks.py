"""Deploy locks, and the quarantine of versions that failed."""

from __future__ import annotations

from aiohttp import web

from healthd.web.problems import Problem
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.requests import HolderQuery, LockBody, UnquarantineQuery
from healthd_gates.api.responses import answer
from healthd_gates.engine.service import GateService
from healthd_gates.schema.lock import LockDocument, LocksDocument, QuarantinedDocument, QuarantineDocument


class Locks:
    """The operations on `/locks` and `/quarantine`."""

    def __init__(self, gate_service: GateService) -> None:
        self._locks = gate_service.locks

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "list_locks", "GET", "/locks", "gates:read", "The deploy locks that are held.", self._list,
                {200: Answer("Them.", LocksDocument)},
            ),
            Operation(
                "get_lock", "GET", "/locks/{service}", "gates:read", "The deploy lock of one service.", self._get,
                {200: Answer("Who holds it and until when.", LockDocument)}, {404: "Nobody holds it."},
            ),
            Operation(
                "take_lock", "POST", "/locks/{service}", "gates:verify",
                "Take the deploy lock of a service, or prolong it for the same holder.", self._take,
                {200: Answer("It is held.", LockDocument)},
                {404: "No such service.", 409: "Someone else holds it: who and until when."}, body=LockBody,
            ),
            Operation(
                "give_lock_back", "DELETE", "/locks/{service}", "gates:verify", "Give a deploy lock back.",
                self._give_back, {204: Answer("It is free.")},
                {409: "This holder does not hold it."}, query=HolderQuery,
            ),
            Operation(
                "list_quarantine", "GET", "/quarantine", "gates:read", "The versions that failed and are refused.",
                self._quarantine, {200: Answer("Them.", QuarantineDocument)},
            ),
            Operation(
                "unquarantine", "DELETE", "/quarantine/{service}", "gates:rollback",
                "Let a version out of quarantine.", self._unquarantine, {204: Answer("It may try again.")},
                {404: "This version is not in quarantine."}, query=UnquarantineQuery,
            ),
        ]  # fmt: skip

    async def _list(self, _call: Call[Nothing, Nothing]) -> web.Response:
        return answer(LocksDocument(locks=[LockDocument.of(lock) for lock in await self._locks.held()]))

    async def _get(self, call: Call[Nothing, Nothing]) -> web.Response:
        for lock in await self._locks.held():
            if lock.service == call.service:
                return answer(LockDocument.of(lock))
        raise Problem(404, "Not locked", f"nobody holds the deploy lock of {call.service}")

    async def _take(self, call: Call[LockBody, Nothing]) -> web.Response:
        asked = call.body
        lock = await self._locks.take(
            call.service,
            holder=asked.holder,
            seconds=asked.duration,
            reason=asked.reason,
            caller=call.caller.name,
            runs=frozenset(filter(None, (asked.reason, asked.instead_of))) if asked.exclusive else None,
        )
        return answer(LockDocument.of(lock))

    async def _give_back(self, call: Call[Nothing, HolderQuery]) -> web.Response:
        await self._locks.release(call.service, holder=call.query.holder, caller=call.caller.name)
        return web.Response(status=204)

    async def _quarantine(self, _call: Call[Nothing, Nothing]) -> web.Response:
        kept = await self._locks.quarantined()
        return answer(QuarantineDocument(versions=[QuarantinedDocument.of(version) for version in kept]))

    async def _unquarantine(self, call: Call[Nothing, UnquarantineQuery]) -> web.Response:
        asked = call.query
        await self._locks.let_out(call.service, asked.version, caller=call.caller.name, reason=asked.reason)
        return web.Response(status=204)
