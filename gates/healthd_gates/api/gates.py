"""Reading gates, and what a person or a pipeline may do to a running one."""

from __future__ import annotations

import asyncio
from datetime import datetime

from aiohttp import web

from healthd_gates.api.long_poll import Patience
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.requests import GiveUpBody, ListQuery, ReasonBody, ResumeBody, RollbackBody, WaitQuery
from healthd_gates.api.responses import answer
from healthd_gates.api.verify import retry_of, status_of
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.service import GateService
from healthd_gates.schema.action import ActionDocument, ActionsDocument, RehearsalDocument, RehearsedDocument
from healthd_gates.schema.evidence import EvidenceDocument
from healthd_gates.schema.gate import GateDocument, GatesDocument

_GATE = {200: Answer("The gate as it stands now.", GateDocument)}
_STRICT = {
    412: Answer("Only with `answer=strict`: not passed.", GateDocument),
    503: Answer(
        "Only with `answer=strict`: no verdict yet.",
        GateDocument,
        headers={"Retry-After": "Seconds after which to ask again."},
    ),
}
_TOO_LATE = {409: "It is decided or over: that comes too late."}
_NOT_HELD = {409: "It waits for nobody, or it is decided or over."}
_NO_RAMP = {409: "It has no ramp, or its ramp is over."}


class GateCalls:
    """The operations on `/gates` and `/gates/{id}`."""

    def __init__(self, gate_service: GateService, patience: Patience) -> None:
        self._interventions = gate_service.interventions
        self._gate_service, self._patience = gate_service, patience

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "list_gates", "GET", "/gates", "gates:read", "Gates, newest first.", self._list,
                {200: Answer("A page of gates.", GatesDocument)}, query=ListQuery,
            ),
            Operation(
                "get_gate", "GET", "/gates/{gate_id}", "gates:read", "One gate, perhaps once it has its verdict.",
                self._get, _GATE | _STRICT, query=WaitQuery,
            ),
            Operation(
                "cancel_gate", "POST", "/gates/{gate_id}/cancel", "gates:verify",
                "End an undecided gate, or the watch after a pass. Nothing is rolled back.",
                self._cancel, _GATE, _TOO_LATE, body=ReasonBody,
            ),
            Operation(
                "switched", "POST", "/gates/{gate_id}/switched", "gates:verify",
                "The traffic is switched: a gate that awaits it begins to judge. Any other stays as it is.",
                self._switched, _GATE,
            ),
            Operation(
                "approve_gate", "POST", "/gates/{gate_id}/approve", "gates:rollback",
                "A person passes a gate that is held.", self._approve, _GATE, _NOT_HELD, body=ReasonBody,
            ),
            Operation(
                "reject_gate", "POST", "/gates/{gate_id}/reject", "gates:rollback",
                "A person fails a gate that is held; what a fail calls for follows.", self._reject, _GATE, _NOT_HELD,
                body=ReasonBody,
            ),
            Operation(
                "pause_ramp", "POST", "/gates/{gate_id}/pause", "gates:verify",
                "Stop a ramp where it is, neither wider nor back, until a person lets it go on.",
                self._pause, _GATE, _NO_RAMP, body=ReasonBody,
            ),
            Operation(
                "resume_ramp", "POST", "/gates/{gate_id}/resume", "gates:rollback",
                "A person lets a ramp go on that was paused, or that its policy pauses before a weight.",
                self._resume, _GATE, _NO_RAMP, body=ResumeBody,
            ),
            Operation(
                "push_evidence", "POST", "/gates/{gate_id}/evidence", "gates:verify",
                "What the arms did since the push before; the same `id` again changes nothing.", self._push,
                {202: Answer("Taken; it counts at the next look.")},
                {409: "The gate is decided, or its service takes no pushed evidence."}, body=PushedEvidence,
            ),
            Operation(
                "get_actions", "GET", "/gates/{gate_id}/actions", "gates:read",
                "What the verdict called for: how often it was tried, and what came of it.", self._actions,
                {200: Answer("The actions, in their order.", ActionsDocument)},
            ),
            Operation(
                "get_evidence", "GET", "/gates/{gate_id}/evidence", "gates:read",
                "The numbers of each look that are stored, such as for a replay under another policy.", self._evidence,
                {200: Answer("The evidence, oldest first.", EvidenceDocument)},
            ),
            Operation(
                "rehearse_rollback", "GET", "/gates/{gate_id}/rollback", "gates:rollback",
                "A dry run: what a rollback would do now. It looks, and changes nothing.", self._rehearse,
                {200: Answer("The actions, in their order.", RehearsalDocument)},
            ),
            Operation(
                "roll_back", "POST", "/gates/{gate_id}/rollback", "gates:rollback",
                "A person pulls the cord: roll back now, whatever the evidence says. Twice is once.",
                self._rollback, {202: Answer("The rollback is stored and under way.", GateDocument)},
                {409: "There is nothing that could be rolled back."}, body=RollbackBody,
            ),
            Operation(
                "give_up_rollback", "POST", "/gates/{gate_id}/rollback/give-up", "gates:rollback",
                "A person ends a rollback that does not get done: its actions are tried no more, the service is free.",
                self._give_up, _GATE, {409: "No rollback of it is under way or wants a person."}, body=GiveUpBody,
            ),
            Operation(
                "put_back", "POST", "/gates/{gate_id}/rollback/put-back", "gates:verify",
                "The deploy tool has put the traffic back itself: no action is tried any more, the numbers confirm it.",
                self._put_back, _GATE, {409: "No rollback of it was called for."}, body=ReasonBody,
            ),
        ]  # fmt: skip

    async def _actions(self, call: Call[Nothing, Nothing]) -> web.Response:
        orders = await self._gate_service.orders(call.gate_id)
        return answer(ActionsDocument(actions=list(map(ActionDocument.of, orders))))

    async def _evidence(self, call: Call[Nothing, Nothing]) -> web.Response:
        recording = await self._gate_service.recording(call.gate_id)
        return answer(await asyncio.to_thread(EvidenceDocument.of, recording))

    async def _rehearse(self, call: Call[Nothing, Nothing]) -> web.Response:
        rehearsed = await self._gate_service.rehearse(call.gate_id)
        shown = [RehearsedDocument(action=it.action, kind=it.kind, would=it.would) for it in rehearsed]
        return answer(RehearsalDocument(actions=shown))

    async def _list(self, call: Call[Nothing, ListQuery]) -> web.Response:
        asked = call.query
        page = await self._gate_service.list(
            service=asked.service,
            states=asked.states,
            limit=asked.limit,
            before=asked.before,
            policy=asked.policy,
            deployment=asked.deployment,
        )
        return answer(GatesDocument.of(page, journal_away_since=self._away_since))

    async def _get(self, call: Call[Nothing, WaitQuery]) -> web.Response:
        gate = await self._gate_service.named(call.gate_id)
        gate = await self._patience.wait(call, gate, call.query.wait)
        document = GateDocument.of(gate, call.base, journal_away_since=self._away_since)
        if call.query.answer == "plain":
            return answer(document)
        status = status_of(gate, strict=True)
        return answer(document, status, retry_of(status))

    @property
    def _away_since(self) -> datetime | None:
        outage = self._gate_service.outage()
        return outage.since if outage is not None else None

    async def _cancel(self, call: Call[ReasonBody, Nothing]) -> web.Response:
        gate = await self._interventions.cancel(call.gate_id, caller=call.caller.name, reason=call.body.reason)
        return answer(GateDocument.of(gate, call.base))

    async def _switched(self, call: Call[Nothing, Nothing]) -> web.Response:
        gate = await self._interventions.switched(call.gate_id, caller=call.caller.name)
        return answer(GateDocument.of(gate, call.base))

    async def _approve(self, call: Call[ReasonBody, Nothing]) -> web.Response:
        return await self._decide(call, Verdict.PASS)

    async def _reject(self, call: Call[ReasonBody, Nothing]) -> web.Response:
        return await self._decide(call, Verdict.FAIL)

    async def _decide(self, call: Call[ReasonBody, Nothing], verdict: Verdict) -> web.Response:
        reason = call.body.reason
        gate = await self._interventions.decide(call.gate_id, verdict, caller=call.caller.name, reason=reason)
        return answer(GateDocument.of(gate, call.base))

    async def _pause(self, call: Call[ReasonBody, Nothing]) -> web.Response:
        gate = await self._interventions.pause(call.gate_id, caller=call.caller.name, reason=call.body.reason)
        return answer(GateDocument.of(gate, call.base))

    async def _resume(self, call: Call[ResumeBody, Nothing]) -> web.Response:
        asked = call.body
        gate = await self._interventions.resume(
            call.gate_id, caller=call.caller.name, reason=asked.reason, pause=asked.pause
        )
        return answer(GateDocument.of(gate, call.base))

    async def _push(self, call: Call[PushedEvidence, Nothing]) -> web.Response:
        await self._gate_service.push(call.gate_id, call.body, caller=call.caller.name)
        return web.Response(status=202, headers={"Cache-Control": "no-store"})

    async def _give_up(self, call: Call[GiveUpBody, Nothing]) -> web.Response:
        asked = call.body
        gate = await self._interventions.give_up(
            call.gate_id, caller=call.caller.name, reason=asked.reason, done=asked.done
        )
        return answer(GateDocument.of(gate, call.base))

    async def _put_back(self, call: Call[ReasonBody, Nothing]) -> web.Response:
        gate = await self._interventions.put_back(call.gate_id, caller=call.caller.name, reason=call.body.reason)
        return answer(GateDocument.of(gate, call.base))

    async def _rollback(self, call: Call[RollbackBody, Nothing]) -> web.Response:
        asked = call.body
        gate = await self._interventions.rollback(
            call.gate_id, caller=call.caller.name, reason=asked.reason, key=asked.idempotency_key
        )
        return answer(GateDocument.of(gate, call.base), 202, {"Location": call.address(f"/gates/{gate.id}")})
