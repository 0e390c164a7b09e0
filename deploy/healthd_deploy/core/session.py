"""Gates that a deploy must pass."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from http import HTTPStatus
from typing import Any

from healthd.units import show_duration
from healthd_deploy.core.admission import GateAdmission
from healthd_deploy.core.asked import answer_within, asked
from healthd_deploy.core.attempts import begun
from healthd_deploy.core.deploy_lock import DeployLock
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk, GateFailed, GateInconclusive, LeftInPlace
from healthd_deploy.core.followed_gate import FollowedGate
from healthd_deploy.core.gate_request import Arm, gate_request, refuse_mismatch
from healthd_deploy.core.report import Report
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_deploy.core.undoing import TOLD_WITHIN, Unanswered, Undoing
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.schema.gate import GateDocument


class GateSession:
    """Client of one service's gates for one deploy. `key` names the deploy: the same one joins its gates.

    With `no_rollback` nothing goes back once the version has traffic: no gate of this deploy calls for an action.
    """

    def __init__(
        self, client: GateClient, config: DeployConfig, key: str, steps: Steps, *, no_rollback: bool = False
    ) -> None:
        self._client, self._config, self._key, self._steps = client, config, key, steps
        self.no_rollback = no_rollback
        self.lock = DeployLock(client, config, key, steps)
        self.earlier = EarlierGates(client, config.service, key)
        self.admission = GateAdmission(client, config, key, self.earlier, steps, no_rollback=no_rollback)
        self.report = Report()
        self.followed = FollowedGate(client, config, steps, self.report, no_rollback=no_rollback)
        self.undoing = Undoing(client, config, key, steps, self.earlier, self.followed, self.report)

    @property
    def patience(self) -> float:
        """Seconds that healthd's own actions get before this tool acts itself."""
        return self._config.rollback_patience

    async def passes(
        self,
        policy: str,
        candidate: Arm,
        baseline: Arm | None = None,
        *,
        part: str = "",
        resumed: bool = False,
    ) -> None:
        """Require a gate whose failure only the tool undoes. Raises GateFailed, GateInconclusive or CouldNotAsk.

        `part` distinguishes gates of the same policy in one deploy.
        """
        await self.begin(policy, candidate, baseline, rolls_back=False, part=part, resumed=resumed)
        await self.verdict()

    async def begin(
        self,
        policy: str,
        candidate: Arm,
        baseline: Arm | None = None,
        *,
        rolls_back: bool = True,
        rollback_window: float | None = None,
        part: str = "",
        resumed: bool = False,
        ramps: bool = False,
        awaits_switch: bool = False,
    ) -> None:
        """Start a gate, or join the one of this deploy that runs; a deploy that `resumed`, with its version in place
        already, joins its last one even long after the verdict. Raises CouldNotAsk, also for what is not allowed now,
        and where the gate moves the traffic itself though this tool is to do so, or the other way round (`ramps`).

        With `awaits_switch` it does not pass before `switched`. With `rolls_back` a fail triggers the daemon's actions.
        `rollback_window` is the number of seconds after a pass in which the baseline can still take the traffic; None:
        without limit.
        """
        rolls_back = rolls_back and not self.no_rollback
        lasts = None if rollback_window is None else show_duration(rollback_window)
        request = gate_request(
            self._config.service,
            self._key,
            policy,
            candidate,
            baseline,
            rolls_back=rolls_back,
            rollback_window=lasts,
            addresses=self._config.addresses,
        )
        if self._steps.dry_run:
            await self.admission.rehearse(request, ramps=ramps)
            return
        if awaits_switch:
            request["awaits_switch"] = True
        self.followed.gate = await self.earlier.left(policy, candidate) if resumed and not part else None
        if self.followed.gate is None:
            key = ":".join(filter(None, (self._key, policy, part)))
            self.undoing.unanswered = Unanswered(policy, candidate, ramps)
            await self._start(begun(self._client, self.earlier, request, key, joins_passed=resumed))
        assert self.followed.gate is not None
        refuse_mismatch(policy, ramps=ramps, wanted=self.followed.gate.ramp is not None)

    async def switched(self) -> None:
        """Tell the gate that was started that the traffic is switched. Raises CouldNotAsk."""
        if not self._steps.dry_run and self.followed.gate is not None and not self.followed.gate.is_answered:
            self.followed.gate = await asked(self._client.switched(self.followed.gate.id))

    async def _start(self, beginning: Coroutine[Any, Any, GateDocument]) -> None:
        asking = asyncio.ensure_future(beginning)
        try:
            self.followed.gate = await asyncio.shield(asking)
        except asyncio.CancelledError:  # it may have started, and is to be abandoned then
            self.followed.gate = await answer_within(TOLD_WITHIN, asking)
            raise
        except (Refused, Unreachable) as problem:
            if isinstance(problem, Refused) and problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self.undoing.unanswered = None  # it is known to have begun none
            raise CouldNotAsk(str(problem)) from problem

    async def stays(self, policy: str, candidate: Arm, *, ramp: str | None = None) -> None:
        """Judge a version that has traffic without a switch in this run: nothing is undone, whatever the verdict. A
        pass, also that of the policy `ramp`, is not judged again, and a running gate is joined.

        Raises GateFailed, GateInconclusive or CouldNotAsk.
        """
        gate = await self.earlier.latest((policy, ramp or policy), candidate)
        if gate is not None and gate.may_stay:
            self.report.reason = f"it has the traffic already, and passed gate {gate.id}: nothing to do"
            self._steps.say(self.report.reason)
            return
        self._steps.say("nothing is released and nothing switched")
        if gate is not None and not gate.is_answered:
            # One of a tool that was killed after its switch may wait for nobody else to tell it.
            running = gate if self._steps.dry_run else await asked(self._client.switched(gate.id))
            await self.followed.verdict(running, f"gate {gate.policy} of {gate.caller}")
        else:
            if ramp is not None:
                self._steps.say(f"{policy} judges it: a ramp begins at nothing, and it has the traffic already")
            await self.passes(policy, candidate)

    async def verdict(self) -> None:
        """Wait for the verdict of the gate that was started. Raises GateFailed, GateInconclusive or CouldNotAsk."""
        if (gate := self.followed.gate) is not None:
            await self.followed.verdict(gate)

    async def left_before(self, policies: Collection[str], candidate: Arm) -> None:
        """Raise LeftInPlace, with the words of its gate, for a version that an earlier run of this deploy left in place
        though it did not pass. Raises CouldNotAsk."""
        gate = await self.earlier.latest(policies, candidate)
        if gate is None or not self.earlier.is_own(gate) or gate.may_stay:
            return
        self.report.exposed(before=True)
        try:
            await self.followed.verdict(gate)
        except (GateFailed, GateInconclusive) as stopped:
            raise LeftInPlace(f"{str(stopped).rstrip('.')}; {gate.candidate.version} keeps the traffic") from stopped
