"""Tests of actions before they are needed: what one would do for a service, or the result of an attempt."""

from __future__ import annotations

from aiohttp import web

from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.domain.request import ActionTest
from healthd_gates.engine.service import GateService
from healthd_gates.schema.action import ActionTestDocument


class Actions:
    """The operation on `/actions`."""

    def __init__(self, gate_service: GateService) -> None:
        self._gate_service = gate_service

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "test_action", "POST", "/actions/{action}/test", "gates:rollback",
                "Look at what an action would do for a service; with `run`, carry it out once.",
                self._test, {200: Answer("What it would do, or what the try came to.", ActionTestDocument)},
                {404: "No such action or service.", 409: "A gate holds the service."}, body=ActionTest,
            ),
        ]  # fmt: skip

    async def _test(self, call: Call[ActionTest, Nothing]) -> web.Response:
        action = call.request.match_info["action"]
        tested = await self._gate_service.test_action(action, call.body, caller=call.caller.name)
        return answer(
            ActionTestDocument(
                action=action, kind=tested.kind, ok=tested.ok, ending=tested.ending, detail=tested.detail
            )
        )
