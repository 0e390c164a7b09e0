"""Lifecycle event hooks of AWS CodeDeploy. CodeDeploy calls a Lambda, which relays the event here and ends. The answer
is a call to CodeDeploy itself, which waits for an hour; `hooks.callback_worker` makes it after the verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from healthd.aws.client import new_client
from healthd.config.model import Model
from healthd.model import FailureKind
from healthd.validation_words import first_in_words
from healthd.web.problems import Problem
from healthd.wording import shape
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.codedeploy import CodeDeployConfig
from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.domain.callback import FinalWord, PendingCallback
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.callback import Delivery, Receipt
from healthd_gates.hooks.contract import SCOPE
from healthd_gates.hooks.runs import Runs

_log = structlog.get_logger(__name__)
_CALL_SECONDS = 8.0
_ROLL_BACK = ("codeDeployRollback", "CloudFormationRollback")  # the creator of a deployment that undoes another one
_FINAL = (  # CodeDeploy's errors for a status that nobody waits for
    "DeploymentDoesNotExistException",
    "DeploymentIdRequiredException",
    "InvalidDeploymentIdException",
    "InvalidLifecycleEventHookExecutionIdException",
    "LifecycleEventAlreadyCompletedException",
    "UnsupportedActionForDeploymentTypeException",
)
_TOO_EARLY = (
    "CodeDeploy makes the tasks of the new version after BeforeInstall, so that a hook of BeforeInstall has nothing to "
    "judge: name the Lambda under AfterAllowTestTraffic or AfterAllowTraffic in the AppSpec file"
)


class ExcuseUnknownError(Exception):
    """CodeDeploy could not be asked for the creator of this deployment."""


class TargetGroupUnknownError(Exception):
    """CodeDeploy could not be asked for the target group of the new version, or has none yet."""


class HookEvent(Model):
    """The event that CodeDeploy sends to its Lambda."""

    model_config = ConfigDict(extra="ignore")

    deployment: str = Field(
        alias="DeploymentId", pattern=shape(r"^d-[A-Z0-9]{1,64}$", "the id of a deployment, such as d-A1B2C3D4E")
    )
    execution: str = Field(alias="LifecycleEventHookExecutionId", min_length=1, max_length=2048)


class Heard(BaseModel):
    """The event is stored: CodeDeploy will get a callback."""

    deployment: str
    heard: Literal["accepted", "known"]


def owed_for(event: HookEvent, hook: str, deploys: Deploys) -> PendingCallback:
    """Return the callback that an event asks for; the same each time that it is relayed."""
    address = {"deployment": event.deployment, "execution": event.execution}
    key = f"{hook}:{event.deployment}:{hashlib.sha256(event.execution.encode()).hexdigest()[:24]}"
    try:
        return PendingCallback(key, hook, address, deploys.request(event.deployment, event.deployment, "CodeDeploy"))
    except ValidationError as error:  # it has the name of its baseline
        return PendingCallback(key, hook, address, None, first_in_words(error))


class CodeDeployHook:
    """The operation on `/hooks/codedeploy`."""

    config_model = CodeDeployConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "codedeploy", "POST", "/hooks/codedeploy/{hook}/{service}", SCOPE,
                "A lifecycle event hook of CodeDeploy, relayed by a Lambda.", self._answer,
                {202: Answer("Heard: CodeDeploy is told the verdict.", Heard)},
                {404: "No such hook, or the service is not under its services."},
                body=HookEvent,
            ),
        ]  # fmt: skip

    async def _answer(self, call: Call[HookEvent, Nothing]) -> web.Response:
        deploys = self._runs.hook(CodeDeployConfig, call.hook).services.get(call.service)
        if deploys is None:
            raise Problem(
                404, "Unknown service", f"{call.service} is not under hooks.{call.hook}.services: name it there"
            )
        is_new = await self._runs.callback_worker.owe(owed_for(call.body, call.hook, deploys))
        return answer(Heard(deployment=call.body.deployment, heard="accepted" if is_new else "known"), 202)


class CodeDeploy:
    """One hook's correspondent. It connects for each call: a deployment has two."""

    def __init__(self, config: CodeDeployConfig) -> None:
        self.wait_timeout, self.retry_for = config.wait_timeout, config.retry_for
        self._config = config

    async def excuse(self, address: Mapping[str, Any]) -> str | None:
        """Excuse a deployment by which CodeDeploy itself rolls back: nothing may delay it."""
        from healthd.checks.aws_failures import AWSError, explain_aws

        try:
            async with self._client() as client:
                deployment = (await client.get_deployment(deploymentId=address["deployment"]))["deploymentInfo"]
        except AWSError as error:
            kind, why = explain_aws(error, "codedeploy:GetDeployment")
            if kind is not FailureKind.PERMISSION:
                raise ExcuseUnknownError(why) from error
            _log.warning("rollback not distinguishable from a deployment, judging it as one", problem=why)
            return None
        if deployment.get("creator") not in _ROLL_BACK:
            return None
        return f"{address['deployment']} rolls another deployment back: not judged."

    async def target_groups(self, address: Mapping[str, Any]) -> Collection[str]:
        """Return the names of the target groups of the replacement's tasks. Raises InvalidRequest for a hook that comes
        before there are any."""
        from healthd.checks.aws_failures import AWSError, explain_aws

        deployment = address["deployment"]
        try:
            async with self._client() as client:
                targets = (await client.list_deployment_targets(deploymentId=deployment))["targetIds"]
                said = await client.batch_get_deployment_targets(deploymentId=deployment, targetIds=targets)
        except AWSError as error:
            raise TargetGroupUnknownError(explain_aws(error, "codedeploy:BatchGetDeploymentTargets")[1]) from error
        tasks = [target.get("ecsTarget", {}) for target in said["deploymentTargets"]]
        sets = [each for it in tasks for each in it.get("taskSetsInfo", ())]
        found = [each["targetGroup"]["name"] for each in sets if each["taskSetLabel"] == "Green"]
        if not found and any(_is_before_install(it) for it in tasks):
            raise InvalidRequest(field="candidate.target", problem=_TOO_EARLY)
        if not found:
            raise TargetGroupUnknownError(f"{deployment} has no replacement task set yet")
        return found

    async def tell(self, address: Mapping[str, Any], word: FinalWord, text: str) -> Delivery:
        from healthd.checks.aws_failures import AWSError, explain_aws

        status = "Succeeded" if word is Verdict.PASS else "Failed"
        try:
            async with self._client() as client:
                await client.put_lifecycle_event_hook_execution_status(
                    deploymentId=address["deployment"],
                    lifecycleEventHookExecutionId=address["execution"],
                    status=status,
                )
        except AWSError as error:
            code, http_status = _refusal(error)
            receipt = Receipt.REFUSED if code in _FINAL else Receipt.RETRY
            why = explain_aws(error, "codedeploy:PutLifecycleEventHookExecutionStatus")[1]
            return Delivery(receipt, why, heard=not 400 <= http_status < 500)
        return Delivery(Receipt.TAKEN, f"CodeDeploy took {status}")

    async def report(self, address: Mapping[str, Any], text: str) -> None:
        """Do nothing: CodeDeploy has no place for progress."""

    async def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def _client(self) -> Any:
        config = self._config
        return new_client("codedeploy", region=config.region, endpoint=config.endpoint, timeout=_CALL_SECONDS)


def _is_before_install(target: Mapping[str, Any]) -> bool:
    """Tell whether the hook that waits is that of BeforeInstall: CodeDeploy makes the replacement's tasks after it."""
    events = {each["lifecycleEventName"]: each["status"] for each in target.get("lifecycleEvents", ())}
    return events.get("BeforeInstall") in ("Pending", "InProgress")


def _refusal(error: BaseException) -> tuple[str, int]:
    """Return AWS's name and HTTP status of an error that it answered with; an empty name and 0 if it did not answer."""
    response = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return response.get("Error", {}).get("Code", ""), status
