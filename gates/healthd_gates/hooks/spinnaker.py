"""Spinnaker's webhook stage. It posts once, then polls the address under `Location` until it reads a status that the
stage lists; any 4xx but 429 ends the stage, and so does a connection that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from healthd.config.settings import Model
from healthd.web.problems import Problem
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks import SpinnakerConfig
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VersionName
from healthd_gates.hooks.contract import SCOPE, Run, Word, sentence_on
from healthd_gates.hooks.runs import Runs

_GONE = {404: "No such hook, or the stage is not configured."}


class Execution(Model):
    """Which run of a pipeline asks, or gives up."""

    stage: str = Field(max_length=64)
    """The stage, as the configuration calls it."""
    execution: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    """Spinnaker's `${execution.id}`."""


class Start(Execution):
    """The payload of the stage that ships."""

    version: VersionName
    """What is judged."""


class Status(StrEnum):
    """The statuses that the stage lists; what it does not list goes on."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


STATUSES = {
    Word.RUNNING: Status.RUNNING,
    Word.PASS: Status.SUCCEEDED,
    Word.FAIL: Status.FAILED,
    Word.CANCELLED: Status.CANCELED,
}


class StageDocument(BaseModel):
    """Where a gate stands, as a stage reads it. `progress` is a sentence for people; Spinnaker takes only text."""

    model_config = ConfigDict(frozen=True)

    status: Status
    progress: str
    gate: str

    @classmethod
    def of(cls, gate: Gate) -> Self:
        return cls(status=STATUSES[Word.on(gate)], progress=sentence_on(gate), gate=gate.id)


class Spinnaker:
    """The operations on `/hooks/spinnaker`."""

    config_model = SpinnakerConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        location = {"Location": "What to poll."}
        return [
            Operation(
                "spinnaker_start", "POST", "/hooks/spinnaker/{hook}", SCOPE,
                "A webhook stage begins: once for each execution.", self._start,
                {202: Answer("The gate, which may have its verdict already.", StageDocument, headers=location)},
                {**_GONE, 409: "A lock, a freeze, a quarantine or another gate is in the way: who and until when."},
                body=Start,
            ),
            Operation(
                "spinnaker_status", "GET", "/hooks/spinnaker/{hook}/{gate_id}", SCOPE,
                "A webhook stage polls.", self._status, {200: Answer("Where the gate stands.", StageDocument)},
            ),
            Operation(
                "spinnaker_cancel", "POST", "/hooks/spinnaker/{hook}/cancel", SCOPE,
                "A webhook stage was cancelled or has failed: a gate without a verdict ends.", self._cancel,
                {204: Answer("There is nothing left that runs.")}, _GONE, body=Execution,
            ),
        ]  # fmt: skip

    async def _start(self, call: Call[Start, Nothing]) -> web.Response:
        gate = await self._runs.begin(
            self._run(call),
            call.body.version,
            anew=lambda begun: begun.run.told or begun.is_over or begun.word is Word.CANCELLED,
        )
        return answer(StageDocument.of(gate), 202, {"Location": f"/hooks/spinnaker/{call.hook}/{gate.id}"})

    async def _status(self, call: Call[Nothing, Nothing]) -> web.Response:
        self._runs.hook(SpinnakerConfig, call.hook)
        return answer(StageDocument.of(await self._runs.noted(await self._runs.own(call.hook, call.gate_id))))

    async def _cancel(self, call: Call[Execution, Nothing]) -> web.Response:
        await self._runs.end(self._run(call), "Spinnaker gave the stage up")
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    def _run(self, call: Call[Start, Nothing] | Call[Execution, Nothing]) -> Run:
        """Executions of one pipeline may overlap: each is a subject of its own, and none ends another's gate."""
        body = call.body
        deploys = self._runs.hook(SpinnakerConfig, call.hook).stages.get(body.stage)
        if deploys is None:
            raise Problem(404, "Unknown stage", f"{body.stage} is not under hooks.{call.hook}.stages: name it there")
        return Run(call.hook, f"{body.stage}:{body.execution}", "stage", deploys, call.caller.name)
