"""The web provider of Argo Rollouts. It sends the same request for each measurement and reads the verdict from the
body: every status but 2xx is an error to it, so that a gate that runs, or failed, is a 200 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from healthd.config.settings import Model
from healthd.web.problems import Problem
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks import ArgoRolloutsConfig
from healthd_gates.domain.request import VersionName
from healthd_gates.hooks.contract import SCOPE, Run, Told, decided_for
from healthd_gates.hooks.runs import Runs

_REPEATED = 60.0  # seconds in which a verdict is told again, for a measurement whose answer was lost


class Measurement(Model):
    """The `jsonBody` of the analysis template that ships."""

    rollout: str = Field(max_length=128)
    """The rollout, as namespace/name."""
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
    """Its annotation `rollout.argoproj.io/revision`, which tells one deploy from the next."""
    version: VersionName
    """What is judged: the hash of the pod template, unless the template says otherwise."""


class ArgoRollouts:
    """The operation on `/hooks/argo-rollouts`."""

    config_model = ArgoRolloutsConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "argo_rollouts", "POST", "/hooks/argo-rollouts/{hook}", SCOPE,
                "A measurement of an Argo Rollouts web metric: 200 whatever the verdict.", self._measure,
                {200: Answer("Where the gate stands: `verdict` is the measurement.", Told)},
                {
                    404: "No such hook, or the rollout is not configured.",
                    409: "A lock, a freeze, a quarantine or another gate is in the way: who and until when.",
                },
                body=Measurement,
            ),
        ]  # fmt: skip

    async def _measure(self, call: Call[Measurement, Nothing]) -> web.Response:
        body = call.body
        deploys = self._runs.hook(ArgoRolloutsConfig, call.hook).rollouts.get(body.rollout)
        if deploys is None:
            raise Problem(
                404, "Unknown rollout", f"{body.rollout} is not under hooks.{call.hook}.rollouts: name it there"
            )
        run = Run(call.hook, body.rollout, f"{body.revision}/{body.version}", deploys, call.caller.name)
        # A run of the analysis ends with its first verdict. Who asks later retries the rollout, or is at another step.
        gate = await self._runs.begin(
            run, body.version, anew=lambda gate: decided_for(gate, self._runs.clock.now()) > _REPEATED
        )
        return answer(Told.of(gate))
