"""Gates that a deploy must pass."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from healthd.units import show_duration
from healthd_deploy.core.admission import GateAdmission
from healthd_deploy.core.asked import answer_within, asked
from healthd_deploy.core.attempts import begun
from healthd_deploy.core.deploy_lock import DeployLock
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk, DeployAborted, GateFailed, GateInconclusive, LeftInPlace, StepFailed
from healthd_deploy.core.gate_request import Arm, gate_request, refuse_mismatch
from healthd_deploy.core.report import Report
from healthd_deploy.core.rolled_back import end_of
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps, wait_until
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import FAILED, code_of
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.commands.view import showing
from healthd_gates.schema.gate import GateDocument

_TOLD = 5.0  # seconds for a daemon to take in that a deploy is undone
_TRY = 60.0  # seconds that a try of an action gets to come to its end


class GateSession:
    """Client of one service's gates for one deploy. `key` names the deploy: the same one joins its gates.

    With `no_rollback` nothing goes back once the version has traffic: no gate of this deploy calls for an action.
    """

    def __init__(
        self, client: GateClient, config: DeployConfig, key: str, steps: Steps, *, no_rollback: bool = False
    ) -> None:
        self._client, self._config, self._key, self._steps = client, config, key, steps
        self.no_rollback = no_rollback
        self._gate: GateDocument | None = None
        self.lock = DeployLock(client, config, key, steps)
        self.earlier = EarlierGates(client, config.service, key)
        self.admission = GateAdmission(client, config.service, key, self.earlier, steps, no_rollback=no_rollback)
        self.report = Report()

    @property
    def patience(self) -> float:
        """Seconds that healthd's own actions get before this tool acts itself."""
        return self._config.rollback_patience

    @property
    def stays_in_place(self) -> bool:
        """True once the version has traffic that must stay with it."""
        return self.no_rollback and self.report.exposed_at is not None

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
            self._config.service, self._key, policy, candidate, baseline, rolls_back=rolls_back, rollback_window=lasts
        )
        if self._steps.dry_run:
            await self.admission.rehearse(request, ramps=ramps)
            return
        if awaits_switch:
            request["awaits_switch"] = True
        self._gate = await self.earlier.left(policy, candidate) if resumed and not part else None
        if self._gate is None:
            key = ":".join(filter(None, (self._key, policy, part)))
            await self._start(begun(self._client, self.earlier, request, key, joins_passed=resumed))
        assert self._gate is not None
        refuse_mismatch(policy, ramps=ramps, wanted=self._gate.ramp is not None)

    async def switched(self) -> None:
        """Tell the gate that was started that the traffic is switched. Raises CouldNotAsk."""
        if not self._steps.dry_run and self._gate is not None and not self._gate.is_answered:
            self._gate = await asked(self._client.switched(self._gate.id))

    async def _start(self, beginning: Coroutine[Any, Any, GateDocument]) -> None:
        asking = asyncio.ensure_future(beginning)
        try:
            self._gate = await asyncio.shield(asking)
        except asyncio.CancelledError:  # it may have started, and is to be abandoned then
            self._gate = await answer_within(_TOLD, asking)
            raise
        except (Refused, Unreachable) as problem:
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
            await self._steps.look(f"gate {gate.policy} of {gate.caller}", lambda: self._verdict(running))
        else:
            if ramp is not None:
                self._steps.say(f"{policy} judges it: a ramp begins at nothing, and it has the traffic already")
            await self.passes(policy, candidate)

    async def verdict(self) -> None:
        """Wait for the verdict of the gate that was started. Raises GateFailed, GateInconclusive or CouldNotAsk."""
        if (gate := self._gate) is not None:
            await self._steps.look(f"gate {gate.policy}", lambda: self._verdict(gate))

    async def abandon(self) -> bool:
        """Abandon the gate, because the deploy is being undone: the daemon must not judge a version that is gone.
        Return False where it does not answer, as the way back does not wait for it."""
        if (gate := self._gate) is None or gate.is_answered:
            return True
        try:
            async with asyncio.timeout(_TOLD):
                await self._client.cancel(gate.id, self.earlier.undoing)
        except (Refused, Unreachable, TimeoutError) as error:
            why = str(error) or f"no answer within {show_duration(_TOLD)}"
            goes_on = ", and may go on with its ramp" if gate.ramp is not None else ""
            self._steps.say(f"gate {gate.id} could not be cancelled{goes_on}: {why}", "✗")
            return isinstance(error, Refused)
        if gate.ramp is not None:
            await self._let_tries_end(gate.id)
        return True

    async def _let_tries_end(self, gate_id: str) -> None:
        """Wait for an action of the ramp that is being carried out: it must not come after the way back."""

        async def none_under_way() -> bool:
            return not any(action.under_way for action in (await self._client.actions(gate_id)).actions)

        with suppress(StepFailed, Refused, Unreachable):
            await wait_until(none_under_way, within=max(self.patience, _TRY), every=0.5, what="the end of the tries")

    async def _verdict(self, gate: GateDocument) -> str:
        self._gate = gate = await asked(self._followed(gate.id))
        self.report.gates.append(gate)
        sentence = gate.told or "cancelled"
        if gate.may_stay:
            return sentence
        if gate.decision is None and (gate.ramp is not None or self.report.exposed_at is not None):
            ordered = f", and ordered {gate.ramp.width} of the traffic" if gate.ramp is not None else ""
            raise LeftInPlace(f"gate {gate.id} was cancelled{ordered}: the traffic stays where it is. {sentence}")
        try:
            gate = await self._rolled_back(gate)
        except asyncio.CancelledError:  # the verdict stands
            self._steps.say("interrupted: healthd's rollback is not waited for any longer", "✗")
        if self.stays_in_place and (end := end_of(gate)) is not None:
            raise self._ends_with(end)
        raise (GateFailed if code_of(gate) == FAILED else GateInconclusive)(f"{gate.verdict}: {sentence}")

    def _ends_with(self, end: DeployAborted) -> DeployAborted:
        """Return the end that a rollback gives the deploy, noted in the report."""
        if end.code == FAILED:
            self.report.back()
        return end

    async def still_stands(self) -> None:
        """Raise OrderedBack or LeftInPlace if healthd has rolled back, or judged worse, since its gate passed. A daemon
        that does not answer has said that it passed."""
        if (gate := self._gate) is None or not gate.may_stay:
            return
        with suppress(Refused, Unreachable, CouldNotAsk):
            gate = await self._rolled_back(await self._client.gate(gate.id))
        if (end := end_of(gate)) is not None:
            self._gate = gate
            raise self._ends_with(end)

    async def left_before(self, policies: Collection[str], candidate: Arm) -> None:
        """Raise LeftInPlace, with the words of its gate, for a version that an earlier run of this deploy left in place
        though it did not pass. Raises CouldNotAsk."""
        gate = await self.earlier.latest(policies, candidate)
        if gate is None or not self.earlier.is_own(gate) or gate.may_stay:
            return
        self.report.exposed()
        try:
            await self._steps.look(f"gate {gate.policy}", lambda: self._verdict(gate))
        except (GateFailed, GateInconclusive) as stopped:
            raise LeftInPlace(f"{str(stopped).rstrip('.')}; {gate.candidate.version} keeps the traffic") from stopped

    async def _followed(self, gate_id: str) -> GateDocument:
        """Return the gate with its verdict; its progress is shown meanwhile. Raises CouldNotAsk where the journal stays
        away: nothing is decided then, as where nobody answers, and the version would keep its traffic for ever."""
        loop, longest = asyncio.get_running_loop(), self._config.healthd.retry_for
        away_from: float | None = None
        with showing(quiet=self._steps.quiet) as show:
            async with aclosing(self._client.follow(gate_id)) as changes:
                async for gate in changes:
                    self.report.ramp = gate.ramp
                    show(gate)
                    if (obstacle := gate.waits_for) is None or gate.is_answered:
                        away_from = None
                        continue
                    away_from = loop.time() if away_from is None else away_from
                    if loop.time() - away_from >= longest:
                        raise CouldNotAsk(f"{obstacle.rstrip('.')}, for which {show_duration(longest)} were waited")
        return gate

    async def _rolled_back(self, gate: GateDocument) -> GateDocument:
        """Wait for the daemon's rollback actions, if there are any, and tell the first failure of one. Return the gate
        as it is then."""
        failure: str | None = None
        if self.patience and gate.rollback is not None and gate.rollback.state == "due":
            self._steps.say(f"waiting up to {show_duration(self.patience)} for healthd to roll back")
        with suppress(TimeoutError, CouldNotAsk):
            async with asyncio.timeout(self.patience):
                while (rollback := gate.rollback) is not None and rollback.state == "due":
                    if failure is None and (failure := rollback.detail) is not None:
                        self._steps.say(f"healthd: {failure}", "✗")
                    await asyncio.sleep(0.5)
                    gate = await asked(self._client.gate(gate.id))
        if gate.rollback is not None:
            self._steps.say(f"healthd: {gate.rollback.told}")
            self.report.gates[-1] = gate
        return gate

    async def tell_end(self, *, abandoned: bool, undone: bool) -> None:
        """Tell healthd how the way back ended, or what it does not know by now. Raises nothing: a daemon that does not
        answer is not waited for."""
        if (gate := self._gate) is None:
            return
        if not abandoned and not await self.abandon():
            order = f"`healthd gate cancel {gate.id} --reason …`"
            self._steps.say(f"healthd does not know that the deploy is undone: once it answers, {order} tells it", "✗")
            return
        await answer_within(_TOLD, self._tell_put_back(gate.id) if undone else self._tell_still_rolling_back(gate.id))

    async def _tell_put_back(self, gate_id: str) -> None:
        """Tell healthd, whose rollback is not done, that this tool has put the traffic back: else it would act, and
        call people, for what is over."""
        if self.report.back_at is None:
            return
        rollback = (await self._client.gate(gate_id)).rollback
        if rollback is not None and rollback.state.is_open:
            told = await self._client.put_back(gate_id, f"deploy {self._key} undid its switch")
            self.report.gates[-1:] = [told]
            self._steps.say(f"healthd is told, and tries no more: {told.rollback.told if told.rollback else ''}")

    async def _tell_still_rolling_back(self, gate_id: str) -> None:
        """Tell of healthd's unfinished rollback, for the person who investigates."""
        gate = await self._client.gate(gate_id)
        if gate.rollback is not None and gate.rollback.state == "due":
            self._steps.say(f"healthd goes on trying to roll back: `healthd gate show {gate.id}` tells how far it is")
