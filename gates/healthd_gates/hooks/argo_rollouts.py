"""The web provider of Argo Rollouts. It sends the same request for each measurement and reads the verdict from the
body: any status but 2xx is an error to it, so that a running or failed gate is answered with 200 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from healthd.config.model import Model
from healthd.web.problems import Problem
from healthd.wording import shape
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.argo_rollouts import ArgoRolloutsConfig
from healthd_gates.domain.errors import Frozen, Locked, Quarantined, ServiceBusy
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.hook_run import RunOver
from healthd_gates.domain.request import VersionName
from healthd_gates.hooks.contract import SCOPE, Run, Told, Word, decided_for
from healthd_gates.hooks.runs import Begun, Runs

_REPEATED = 60.0  # seconds in which a verdict is repeated to a run without a name, as its answer may be lost


class Measurement(Model):
    """The `jsonBody` of the analysis template that is included."""

    rollout: str = Field(max_length=128)
    """The rollout, as namespace/name."""
    revision: Annotated[str, StringConstraints(pattern=shape(r"^[0-9]{1,20}$", "a number"))]
    """Its annotation `rollout.argoproj.io/revision`, which distinguishes one deploy from the next."""
    version: VersionName
    """The version to judge: the hash of the pod template, unless the template says otherwise."""
    run: (
        Annotated[
            str,
            StringConstraints(
                pattern=shape(r"^[A-Za-z0-9._-]{1,64}$", "at most 64 letters, digits, dots, dashes and underscores")
            ),
        ]
        | None
    ) = None
    """Identifies an AnalysisRun: the Rollout's resourceVersion when it was made."""
    stable: VersionName | Literal[""] | None = None
    """The hash of the stable pods, for the baseline of the configuration: its version, if pods are distinguished by
    `rollouts-pod-template-hash`."""


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
        if body.stable and deploys.baseline is not None:
            baseline = deploys.baseline.model_copy(update={"version": body.stable})
            deploys = deploys.model_copy(update={"baseline": baseline})
        release = f"{body.revision}/{body.version}"
        id = f"{release}@{body.run}" if body.run else release  # noqa: A001
        run = Run(call.hook, body.rollout, id, deploys, call.caller.name, release)
        try:
            return answer(Told.of(await self._gate(run, body)))
        except Quarantined as refused:  # an error would be retried, with traffic on the version all the time
            return answer(Told(verdict=Word.FAIL, sentence=str(refused), gate=refused.fields["gate_id"]))
        except (Locked, Frozen, ServiceBusy) as refused:
            return answer(Told(verdict=Word.RUNNING, sentence=f"Waiting. {refused}", gate=None))

    async def _gate(self, run: Run, body: Measurement) -> Gate:
        begun = await self._runs.recall(run)
        if begun is None or (begun.run.over is RunOver.SILENT and _is_unwatched(begun)):
            return await self._runs.start(run, body.version, after=begun)
        if body.run is None and await self._is_another(begun):
            return await self._runs.start(run, body.version, after=begun)
        return await self._runs.note(begun)

    async def _is_another(self, begun: Begun) -> bool:
        """True if another AnalysisRun asks, as far as that is visible if the template does not name it: an analysis
        ends with the first verdict that it receives, and only a lost answer is asked for again."""
        if not begun.run.told:
            return False
        spent = decided_for(begun.gate, self._runs.clock.now()) > _REPEATED
        return spent or await self._runs.is_released(begun.gate)


def _is_unwatched(begun: Begun) -> bool:
    """True if a gate whose run fell silent and then asks again has no answer for it: nothing was decided, or the watch
    behind the pass has ended with the silence."""
    return begun.word in (Word.RUNNING, Word.CANCELLED) or begun.gate.is_watch_cut_short
