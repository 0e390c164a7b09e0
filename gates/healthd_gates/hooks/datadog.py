"""Datadog's deployment gates: a pipeline that was written for them, such as one with `datadog-ci deployment gate`,
calls this daemon instead and needs no other change. Its rules are the criteria of the gate's policy.

The tool has no id of its own run and sends the same request again if it received no answer: a request about a version
that is being judged, or was a moment ago, is about the same gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator

from healthd.config.model import Model
from healthd.web.auth import Caller, Guard
from healthd.web.problems import Problem
from healthd.wording import shape
from healthd_gates.api.operation import Answer, Call, Header, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.config.hooks.datadog import DatadogConfig
from healthd_gates.domain.errors import UnknownGate
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VersionName
from healthd_gates.domain.standing import Finding
from healthd_gates.hooks.contract import SCOPE, Run, Word, sentence_on
from healthd_gates.hooks.runs import Begun, Runs

_PATH = "/api/v2/deployments/gates/evaluation"
_RETRIED = timedelta(minutes=2)  # datadog-ci retries the start of an evaluation for one minute
_KEYS = ("DD-APPLICATION-KEY", "DD-API-KEY")
_HEADERS = {"DD-APPLICATION-KEY": Header("A token of healthd's, where no Authorization is sent.", r"^[!-~]{1,200}$")}
Status = Literal["in_progress", "pass", "fail"]
_FOUND: dict[Finding, Status] = {Finding.SAFE: "pass", Finding.CLEAR: "pass", Finding.HARM: "fail"}


class _Sent(Model):
    """Datadog may add fields; the configuration here replaces those that say what to evaluate."""

    model_config = ConfigDict(extra="ignore")


class EvaluationAttributes(_Sent):
    service: str = Field(max_length=100)
    env: str = Field(max_length=100)
    version: VersionName
    identifier: str | None = Field(
        None, max_length=64, pattern=shape(r"^[!-~]*$", "text of visible ASCII characters, without spaces")
    )
    configuration: Any = None
    rules: Any = None
    dry_run: Any = None

    @field_validator("configuration", "rules", "dry_run")
    @classmethod
    def _is_not_given(cls, given: Any) -> None:
        if given:
            raise ValueError("rules and dry_run are not taken from the call: the policy of this gate has them")


class EvaluationData(_Sent):
    type: Literal["deployment_gates_evaluation_request"]
    attributes: EvaluationAttributes


class EvaluationRequest(_Sent):
    """The request for an evaluation."""

    data: EvaluationData


class Started(BaseModel):
    evaluation_id: str


class StartedData(BaseModel):
    id: str
    type: Literal["deployment_gates_evaluation_response"] = "deployment_gates_evaluation_response"
    attributes: Started


class EvaluationStarted(BaseModel):
    """The evaluation is under way."""

    data: StartedData


class Rule(BaseModel):
    """The result of one criterion."""

    name: str
    status: Status
    reason: str
    dry_run: bool


class Evaluated(BaseModel):
    dry_run: bool
    evaluation_id: str
    evaluation_url: str
    gate_id: str
    gate_status: Status
    rules: list[Rule]


class EvaluatedData(BaseModel):
    id: str
    type: Literal["deployment_gates_evaluation_result_response"] = "deployment_gates_evaluation_result_response"
    attributes: Evaluated


class Evaluation(BaseModel):
    """The state of an evaluation."""

    data: EvaluatedData


def status_of(word: Word) -> Status:
    """Return Datadog's status of a gate's word: a cancelled gate did not pass."""
    match word:
        case Word.RUNNING:
            return "in_progress"
        case Word.PASS:
            return "pass"
        case Word.FAIL | Word.CANCELLED:
            return "fail"


def rules_of(gate: Gate) -> list[Rule]:
    """Return the verdict, which exists from the start and is all that counts, and the criteria that led to it.

    A criterion that is open while the gate runs gets the status of the verdict in the end; but if another criterion has
    failed, it never ended.
    """
    verdict = status_of(Word.on(gate))
    criteria = gate.standing.criteria if gate.standing is not None else ()
    is_found = any(it.critical and it.finding is Finding.HARM for it in criteria)
    of_the_rest: Status = "in_progress" if is_found else verdict
    of_criteria = [
        Rule(name=it.name, status=_FOUND.get(it.finding, of_the_rest), reason=it.sentence, dry_run=not it.critical)
        for it in criteria
    ]
    return [Rule(name="verdict", status=verdict, reason=sentence_on(gate), dry_run=False), *of_criteria]


def evaluation_of(gate: Gate, page: str) -> Evaluation:
    attributes = Evaluated(
        dry_run=False,
        evaluation_id=gate.id,
        evaluation_url=page,
        gate_id=_uuid(gate.id),
        gate_status=status_of(Word.on(gate)),
        rules=rules_of(gate),
    )
    return Evaluation(data=EvaluatedData(id=gate.id, attributes=attributes))


def _uuid(gate_id: str) -> str:
    """Return a gate's id as a UUID, which Datadog's clients expect; ours has as many digits."""
    return str(UUID(gate_id))


_NEVER = (401, 404, 413, 415, 422)


def refused(problem: Problem, _request: web.Request) -> web.Response:
    """Return an error as Datadog's API words it. `datadog-ci` retries for a minute and more whatever the status, except
    for 400 and 403: errors that a retry cannot cure have one of these."""
    lasts = problem.extra.get("type") == "urn:healthd:quarantined"
    status = 403 if problem.status == 401 else 400 if problem.status in _NEVER or lasts else problem.status
    error = {"status": str(status), "title": problem.title, "detail": problem.detail or problem.title}
    told = Problem(status, problem.title, problem.detail, problem.headers, **problem.extra)
    told.extra["errors"] = [error]
    return told.response()


async def _admit(request: web.Request, guard: Guard, scope: str) -> Caller:
    """Authenticate by a token of healthd in the place of one of Datadog's keys; the application key has priority."""
    token = next((request.headers[key] for key in _KEYS if key in request.headers), None)
    await guard.prepare(request, token)
    return guard.require(request, scope, token, f"send a token of healthd as {_KEYS[0]}")


class Datadog:
    """The operations on `/api/v2/deployments/gates/evaluation`."""

    config_model = DatadogConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "datadog_evaluate", "POST", _PATH, SCOPE,
                "Start what Datadog calls the evaluation of a deployment gate. The token comes as an application key.",
                self._start, {202: Answer("Under way: ask for its result.", EvaluationStarted)},
                {
                    400: "No gate of this service and environment is configured, or the version is in quarantine.",
                    409: "A lock, a freeze, a quarantine or another gate is in the way: who and until when.",
                },
                body=EvaluationRequest, headers=_HEADERS, admit=_admit, refuse=refused, services=self._services,
            ),
            Operation(
                "datadog_result", "GET", f"{_PATH}/{{gate_id}}", SCOPE, "How an evaluation stands.",
                self._result, {200: Answer("As Datadog says it.", Evaluation)},
                {400: "No such evaluation."},
                headers=_HEADERS, admit=_admit, refuse=refused,
            ),
        ]  # fmt: skip

    def _services(self, call: Call[EvaluationRequest, Nothing]) -> Iterable[str]:
        asked = call.body.data.attributes
        return (self._find(f"{asked.service}/{asked.env}", call.caller)[1].service,)

    async def _start(self, call: Call[EvaluationRequest, Nothing]) -> web.Response:
        asked = call.body.data.attributes
        name = f"{asked.service}/{asked.env}"
        hook, deploys = self._find(name, call.caller)
        run = Run(hook, name, f"{asked.version}#{asked.identifier or ''}", deploys, call.caller.name)
        gate = await self._runs.begin(run, asked.version, anew=self._is_spent)
        return answer(EvaluationStarted(data=StartedData(id=gate.id, attributes=Started(evaluation_id=gate.id))), 202)

    async def _result(self, call: Call[Nothing, Nothing]) -> web.Response:
        gate = await self._runs.gate_service.get(call.gate_id)
        if gate.caller not in {f"hook:{name}" for name, _ in self._hooks(call.caller)}:
            raise UnknownGate(gate_id=call.gate_id)
        await self._runs.noted(gate)
        return answer(evaluation_of(gate, call.address(f"/gates/{gate.id}/page")))

    def _hooks(self, caller: Caller) -> Iterator[tuple[str, DatadogConfig]]:
        """Yield all hooks of this kind that the caller's token opens: the address, which is Datadog's, names none."""
        hooks = self._runs.config.hooks.items()
        return ((name, config) for name, config in hooks if isinstance(config, DatadogConfig) and caller.opens(name))

    def _find(self, name: str, caller: Caller) -> tuple[str, Deploys]:
        """Return the hook and the deploy of a name. Raises Problem 404."""
        for hook, config in self._hooks(caller):
            if name in config.gates:
                return hook, config.gates[name]
        raise Problem(404, "Unknown gate", f"{name[:128]} is under gates of no hook of kind datadog: name it there")

    def _is_spent(self, begun: Begun) -> bool:
        """True if its verdict is too old for the request to be a retry of the previous one."""
        decision = begun.gate.decision
        late = decision is not None and self._runs.clock.now() - decision.at > _RETRIED
        return late or begun.is_over
