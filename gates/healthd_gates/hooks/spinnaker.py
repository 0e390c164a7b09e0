"""Spinnaker's webhook stage. It posts once, then polls an address until it reads a status that the stage lists: the one
in `Location`, one in the answer, or the one that it posted to. It keeps the address as it came, so the address must be
absolute. Any 4xx except 429 ends the stage, unless the stage lists it, and so does a connection that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from healthd.config.model import Model
from healthd.web.problems import Problem
from healthd.wording import shape
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.spinnaker import SpinnakerConfig
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VersionName
from healthd_gates.hooks.contract import SCOPE, Run, Word, sentence_on
from healthd_gates.hooks.runs import Runs

_GONE = {404: "No such hook, or the stage is not configured."}

_GATE_ID = r"[A-Za-z_-]{0,63}[0-9][A-Za-z0-9_-]{0,63}"  # has a digit, which other words in its place have not


class Execution(Model):
    """The execution of a pipeline that asks, or gives up."""

    stage: str = Field(max_length=64)
    """The stage's name in the configuration."""
    execution: Annotated[
        str, StringConstraints(pattern=shape(r"^[A-Za-z0-9-]{1,64}$", "at most 64 letters, digits and dashes"))
    ]
    """Spinnaker's `${execution.id}`."""


class Start(Execution):
    """The payload of the stage template that is included."""

    version: VersionName
    """The version to judge."""


class PolledAs(Model):
    """The query of a polled address: with `getMethod` the address that is posted to is also polled, and names the
    gate."""

    stage: str | None = None
    execution: str | None = None


class Status(StrEnum):
    """The statuses that the stage lists; any other means that the stage goes on."""

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
    """The state of a gate, as a stage reads it. `progress` is a sentence for people; Spinnaker accepts only text."""

    model_config = ConfigDict(frozen=True)

    status: Status
    progress: str
    gate: str
    status_url: str

    @classmethod
    def of(cls, gate: Gate, status_url: str) -> Self:
        status = STATUSES[Word.on(gate)]
        return cls(status=status, progress=sentence_on(gate), gate=gate.id, status_url=status_url)


_PASSES = ("urn:healthd:service-busy", "urn:healthd:locked", "urn:healthd:frozen")


def refused(problem: Problem, _request: web.Request) -> web.Response:
    """Return a temporary refusal as a 503: Spinnaker retries after any 5xx, and ends the stage at every 4xx."""
    if problem.extra.get("type") in _PASSES:
        problem = Problem(503, problem.title, problem.detail, problem.headers, **problem.extra)
    return problem.response()


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
                {
                    **_GONE,
                    409: "The version is in quarantine.",
                    503: "A lock, a freeze or another gate is in the way: who and until when.",
                },
                body=Start, query=PolledAs, refuse=refused,
            ),
            Operation(
                "spinnaker_status", "GET", "/hooks/spinnaker/{hook}/{gate_id}", SCOPE,
                "A webhook stage polls.", self._status, {200: Answer("Where the gate stands.", StageDocument)},
                parts={"gate_id": _GATE_ID},
            ),
            Operation(
                "spinnaker_poll", "GET", "/hooks/spinnaker/{hook}", SCOPE,
                "A webhook stage polls the address that it posted to (`getMethod`).", self._poll,
                {200: Answer("Where the gate of this execution stands.", StageDocument)},
                {404: "No such hook, the stage is not configured, or it has no gate in this execution."},
                query=Execution,
            ),
            Operation(
                "spinnaker_cancel", "POST", "/hooks/spinnaker/{hook}/cancel", SCOPE,
                "A webhook stage was cancelled or has failed: a gate without a verdict ends.", self._cancel,
                {204: Answer("There is nothing left that runs.")}, _GONE, body=Execution,
            ),
        ]  # fmt: skip

    async def _start(self, call: Call[Start, PolledAs]) -> web.Response:
        gate = await self._runs.begin(
            self._run(call, call.body),
            call.body.version,
            anew=lambda begun: begun.run.told or begun.is_over or begun.word is Word.CANCELLED,
        )
        shown = StageDocument.of(gate, self._status_url(call, gate))
        return answer(shown, 202, {"Location": shown.status_url})

    async def _poll(self, call: Call[Nothing, Execution]) -> web.Response:
        begun = await self._runs.recall(self._run(call, call.query))
        if begun is None:
            raise Problem(404, "No gate yet", f"{call.query.stage} has no gate in execution {call.query.execution}")
        gate = await self._runs.note(begun)
        return answer(StageDocument.of(gate, self._status_url(call, gate)))

    async def _status(self, call: Call[Nothing, Nothing]) -> web.Response:
        self._runs.hook(SpinnakerConfig, call.hook)
        gate = await self._runs.noted(await self._runs.own(call.hook, call.gate_id))
        return answer(StageDocument.of(gate, self._status_url(call, gate)))

    async def _cancel(self, call: Call[Execution, Nothing]) -> web.Response:
        await self._runs.end(self._run(call, call.body), "Spinnaker gave the stage up")
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    def _status_url(self, call: Call[Any, Any], gate: Gate) -> str:
        return call.address(f"/hooks/spinnaker/{call.hook}/{gate.id}")

    def _run(self, call: Call[Any, Any], body: Execution) -> Run:
        """Return the run of an execution. Executions of one pipeline may overlap: each is a subject of its own, and
        none ends another's gate."""
        deploys = self._runs.hook(SpinnakerConfig, call.hook).stages.get(body.stage)
        if deploys is None:
            raise Problem(404, "Unknown stage", f"{body.stage} is not under hooks.{call.hook}.stages: name it there")
        return Run(call.hook, f"{body.stage}:{body.execution}", "stage", deploys, call.caller.name)
