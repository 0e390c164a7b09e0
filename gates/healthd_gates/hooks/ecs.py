"""Lifecycle hooks of Amazon ECS service deployments. ECS calls a Lambda; `deploy/hooks/aws_relay.py` is one that relays
the event here and returns the answer. While a hook is in progress ECS calls again, after the delay in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from healthd.config.model import Model
from healthd.web.problems import Problem
from healthd.wording import shape
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.config.hooks.ecs import EcsConfig, Stage
from healthd_gates.config.target_groups import at_the_other, groups_asked_for
from healthd_gates.domain.errors import RETRYABLE, Refusal
from healthd_gates.domain.gate import Gate
from healthd_gates.hooks.contract import SCOPE, Run, Word, sentence_on
from healthd_gates.hooks.ecs_revision import RevisionUnknownError, groups_of
from healthd_gates.hooks.placing import target_of
from healthd_gates.hooks.runs import Runs

_ARN = r"^arn:[a-z0-9-]+:ecs:[a-z0-9-]*:[0-9]*:{kind}/"
_ASK_AGAIN = 15  # seconds
_TEXT = 500
Weights = dict[str, Annotated[float, Field(ge=0, le=100)]]


class HookStatus(StrEnum):
    """The answers of a hook to ECS: go on, roll back, ask again."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    IN_PROGRESS = "IN_PROGRESS"


class _Sent(Model):
    """ECS may add fields."""

    model_config = ConfigDict(extra="ignore")


class ExecutionDetails(_Sent):
    service: str = Field(
        alias="serviceArn", max_length=2048, pattern=shape(_ARN.format(kind="service"), "the ARN of an ECS service")
    )
    revision: str = Field(
        alias="targetServiceRevisionArn",
        max_length=2048,
        pattern=shape(_ARN.format(kind="service-revision"), "the ARN of a service revision"),
    )
    test_weights: Weights = Field(alias="testTrafficWeights", default={})
    production_weights: Weights = Field(alias="productionTrafficWeights", default={})


class LifecycleEvent(_Sent):
    """The event that ECS sends to its Lambda."""

    execution: str = Field(alias="executionId", max_length=256)
    stage: Stage = Field(alias="lifecycleStage")
    deployment: str = Field(
        alias="resourceArn",
        max_length=2048,
        pattern=shape(_ARN.format(kind="service-deployment"), "the ARN of a service deployment"),
    )
    details: ExecutionDetails = Field(alias="executionDetails")
    hook_details: dict[str, Any] | None = Field(alias="hookDetails", default=None)

    @property
    def service(self) -> str:
        """The service as cluster/service, whatever else the ARN says."""
        return "/".join(self.details.service.split("/")[-2:])

    @property
    def version(self) -> str:
        """The id of the service revision that is deployed."""
        return self.details.revision.rpartition("/")[2]

    @property
    def weight(self) -> float | None:
        """The percentage of the traffic that this stage shifts which goes to the new revision."""
        match self.stage:
            case Stage.TEST_TRAFFIC_SHIFT:
                return _weight(self.details.test_weights, self.details.revision)
            case Stage.PRE_PRODUCTION_TRAFFIC_SHIFT | Stage.PRODUCTION_TRAFFIC_SHIFT:
                return _weight(self.details.production_weights, self.details.revision)
        return None

    @property
    def goes_back(self) -> bool:
        """True if the deployment is being rolled back: only then is traffic shifted to leave the new revision none.

        Before a shift it has none either, so that the stage before it shows nothing.
        """
        shifts = self.stage in (Stage.TEST_TRAFFIC_SHIFT, Stage.PRODUCTION_TRAFFIC_SHIFT)
        return shifts and self.weight == 0

    @property
    def run(self) -> str:
        """The run of one gate: the stage of a deployment, and if traffic moves in steps, the step."""
        step = "" if self.weight is None else f".{self.weight:g}"
        return f"{self.deployment.rpartition('/')[2]}.{self.stage.value}{step}"


def _weight(weights: Mapping[str, float], revision: str) -> float | None:
    """Return a revision's weight, None if the event has no weights."""
    return weights.get(revision, 0.0) if weights else None


class HookAnswer(BaseModel):
    """The answer that the Lambda returns to ECS."""

    model_config = ConfigDict(frozen=True)

    hookStatus: HookStatus  # noqa: N815 - ECS's name
    hookDetails: dict[str, Any]  # noqa: N815


class InProgress(HookAnswer):
    """The answer while there is no verdict. The delay, in seconds, is that to the next call."""

    hookStatus: Literal[HookStatus.IN_PROGRESS] = HookStatus.IN_PROGRESS  # noqa: N815
    callBackDelay: int = _ASK_AGAIN  # noqa: N815


def answer_on(gate: Gate) -> HookAnswer:
    """Return the answer to ECS for the state of a gate."""
    told = {"healthdGate": gate.id, "healthdSays": sentence_on(gate)[:_TEXT]}
    match Word.on(gate):
        case Word.RUNNING:
            return InProgress(hookDetails=told)
        case Word.PASS:
            return HookAnswer(hookStatus=HookStatus.SUCCEEDED, hookDetails=told)
        case Word.FAIL | Word.CANCELLED:
            return HookAnswer(hookStatus=HookStatus.FAILED, hookDetails=told)


def answer_to(refusal: Refusal) -> HookAnswer:
    """Return the answer to a refusal: ask again if the gate cannot start yet; fail the deployment if it never will."""
    told = {"healthdSays": str(refusal)[:_TEXT]}
    if isinstance(refusal, RETRYABLE):
        return InProgress(hookDetails=told)
    return HookAnswer(hookStatus=HookStatus.FAILED, hookDetails=told)


_GOING_BACK = HookAnswer(
    hookStatus=HookStatus.SUCCEEDED, hookDetails={"healthdSays": "The deployment is being rolled back: not judged."}
)


class Ecs:
    """The operation on `/hooks/ecs`."""

    config_model = EcsConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "ecs", "POST", "/hooks/ecs/{hook}", SCOPE,
                "A lifecycle hook of an ECS service deployment, relayed by a Lambda.", self._answer,
                {200: Answer("What the Lambda gives back to ECS.", HookAnswer)},
                {404: "No such hook, or the service or its stage is not configured."},
                body=LifecycleEvent,
            ),
        ]  # fmt: skip

    async def _answer(self, call: Call[LifecycleEvent, Nothing]) -> web.Response:
        event, hook = call.body, call.hook
        config = self._runs.hook(EcsConfig, hook)
        if event.goes_back:
            return answer(_GOING_BACK)
        deploys = config.services.get(event.service, {}).get(event.stage)
        if deploys is None:
            place = f"hooks.{hook}.services.{event.service[:128]}"
            raise Problem(404, "Unknown service or stage", f"{event.stage} is not under {place}: name it there")
        run = Run(hook, event.service, event.run, deploys, call.caller.name)
        try:
            gate = await self._runs.begin(run, event.version, placed=partial(self._placed, deploys, event, config))
        except Refusal as refusal:
            return answer(answer_to(refusal))
        except RevisionUnknownError as error:
            return answer(InProgress(hookDetails={"healthdSays": f"Waiting. {error}"[:_TEXT]}))
        return answer(answer_on(gate))

    async def _placed(self, deploys: Deploys, event: LifecycleEvent, config: EcsConfig) -> Deploys:
        """Return the deploy with the target whose group has the new revision, where numbers are counted by group."""
        groups = groups_asked_for(self._runs.config, deploys.service, deploys.policy)
        if not groups:
            return deploys
        target = target_of(groups, await groups_of(event.details.revision, config))
        baseline = at_the_other(groups, target, deploys.baseline)
        return deploys.model_copy(update={"target": target, "baseline": baseline})
