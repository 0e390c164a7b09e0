"""Daemon from the view of a deploy tool: a deploy lock that is prolonged, and gates that must pass."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar

from healthd.units import show_duration
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

ResultT = TypeVar("ResultT")
_STALE = "urn:healthd:stale-verdict"
_BUSY = "urn:healthd:service-busy"
_TRY = 60.0  # seconds that a try of an action gets to come to its end
_RECENT = 50  # gates of a service that are searched for one of a version


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
        self.report = Report()

    @property
    def patience(self) -> float:
        """Seconds that healthd's own actions get before this tool acts itself."""
        return self._config.rollback_patience

    @property
    def stays_in_place(self) -> bool:
        """True once the version has traffic that must stay with it."""
        return self.no_rollback and self.report.exposed_at is not None

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the service's deploy lock, prolonged until the end. Raises CouldNotAsk when another deploy has it."""
        if self._steps.dry_run:
            self._steps.say(f"would take the deploy lock of {self._config.service}", "○")
            yield
            return
        await self._steps.look(f"take the deploy lock of {self._config.service}", self.hold)
        prolonging = asyncio.create_task(self._prolong(), name="deploy lock")
        try:
            yield
        finally:
            prolonging.cancel()
            await asyncio.wait({prolonging})
            with suppress(Refused, Unreachable):  # it expires by itself
                await self._client.unlock(self._config.service, self._key)

    async def hold(self) -> None:
        """Check that the lock still belongs to this deploy. Raises CouldNotAsk."""
        if self._steps.dry_run:
            return
        why = f"deploy of {getpass.getuser()}@{socket.gethostname()}"
        await self._asked(self._client.lock(self._config.service, self._key, self._config.lock, why))

    async def _prolong(self) -> None:
        """Prolong the lock. It survives a daemon that is briefly unreachable; it must still be held before the
        switch."""
        while True:
            await asyncio.sleep(self._config.lock / 3)
            with suppress(CouldNotAsk):
                await self.hold()

    async def not_quarantined(self, version: str) -> None:
        """Raise CouldNotAsk for a version that failed a gate before: healthd would refuse a gate for it too."""
        for kept in (await self._asked(self._client.quarantine())).versions:
            if (kept.service, kept.version) == (self._config.service, version):
                release = f"healthd gate unquarantine {kept.service} {version} --reason …"
                raise CouldNotAsk(f"{version} is in quarantine: {kept.reason.rstrip('.')} ({release} lets it out)")

    async def passes(self, policy: str, candidate: Arm, baseline: Arm | None = None, *, part: str = "") -> None:
        """Require a gate whose failure only the tool undoes. Raises GateFailed, GateInconclusive or CouldNotAsk.

        `part` distinguishes gates of the same policy in one deploy.
        """
        await self.begin(policy, candidate, baseline, rolls_back=False, part=part)
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
    ) -> None:
        """Start a gate, or join the one that this deploy started; a deploy that `resumed` after its switch joins it
        even long after the verdict. Raises CouldNotAsk, also for what is not allowed now, and where the gate moves the
        traffic itself though this tool is to do so, or the other way round (`ramps`).

        With `rolls_back` a fail triggers the daemon's actions. `rollback_window` is the number of seconds after a pass
        in which the baseline can still take the traffic; None: without limit.
        """
        rolls_back = rolls_back and not self.no_rollback
        lasts = None if rollback_window is None else show_duration(rollback_window)
        request = gate_request(
            self._config.service, self._key, policy, candidate, baseline, rolls_back=rolls_back, rollback_window=lasts
        )
        if self._steps.dry_run:
            await self._rehearse(request, ramps=ramps)
            return
        key = ":".join(filter(None, (self._key, policy, part)))
        asking = asyncio.ensure_future(self._client.verify(request, key=key))
        try:
            self._gate = await asyncio.shield(asking)
        except asyncio.CancelledError:  # it may have started, and is to be abandoned then
            with suppress(Refused, Unreachable):
                self._gate = await asking
            raise
        except Refused as refusal:
            problem = refusal.problem
            if not resumed or problem.get("type") != _STALE or "followed_by" in problem:
                raise CouldNotAsk(str(refusal)) from refusal
            self._gate = await self._asked(self._client.gate(str(problem["gate_id"])))
        except Unreachable as error:
            raise CouldNotAsk(str(error)) from error
        refuse_mismatch(policy, ramps=ramps, wanted=self._gate.ramp is not None)

    async def could_ramp(self, policy: str, candidate: Arm, baseline: Arm) -> None:
        """Raise CouldNotAsk where healthd would not widen this release: before anything is done for it. A ramp that
        this deploy began is gone on with."""
        if self.no_rollback:
            raise CouldNotAsk("a ramp takes the traffic back by itself: --no-rollback needs --strategy switch")
        gate = await self._latest((policy,), candidate)
        if gate is not None and gate.deployment.id == self._key:
            return
        request = gate_request(self._config.service, self._key, policy, candidate, baseline)
        found = await self._asked(self._client.could_start(request))
        refuse_mismatch(policy, ramps=True, wanted=found.ramps)

    async def could_begin(
        self, policies: Collection[str], candidate: Arm, baseline: Arm | None = None, *, rolls_back: bool = False
    ) -> None:
        """Raise CouldNotAsk where healthd would refuse a gate of this deploy that comes after the release, such as in a
        freeze or while another gate's rollback is due: before anything is done for it."""
        if self._steps.dry_run:  # which asks about every gate in its turn
            return
        for policy in dict.fromkeys(policies):
            request = gate_request(
                self._config.service,
                self._key,
                policy,
                candidate,
                baseline,
                rolls_back=rolls_back and not self.no_rollback,
            )
            try:
                await self._client.could_start(request)
            except Refused as refusal:
                if not await self._is_own(refusal):
                    raise CouldNotAsk(str(refusal)) from refusal
            except Unreachable as error:
                raise CouldNotAsk(str(error)) from error

    async def _is_own(self, refusal: Refused) -> bool:
        """True if a gate of this deploy has the service: it is joined."""
        gate_id = refusal.problem.get("gate_id")
        if refusal.problem.get("type") != _BUSY or gate_id is None:
            return False
        return (await self._asked(self._client.gate(str(gate_id)))).deployment.id == self._key

    async def _rehearse(self, request: Mapping[str, Any], *, ramps: bool) -> None:
        """Have healthd say whether it would start this gate. Raises CouldNotAsk, such as for an unknown policy."""
        found = await self._asked(self._client.could_start(request))
        refuse_mismatch(found.policy, ramps=ramps, wanted=found.ramps)
        self._steps.say(f"would ask the gate {found.policy} about {request['candidate']['version']}", "○")
        for note in found.notes:
            self._steps.say(f"gate {found.policy}: {note}")

    async def switched(self, policy: str, candidate: Arm) -> bool:
        """True if this deploy switched the traffic to a candidate: it started the gate about it and the candidate was
        not promoted since. Raises CouldNotAsk."""
        gate = await self._latest((policy,), candidate)
        return gate is not None and gate.deployment.id == self._key and not gate.may_stay

    async def before_ramp(self, policies: Collection[str | None]) -> str | None:
        """Return the target that had all of the traffic before a ramp divided it, by the newest gate of some policies;
        None where that one has no ramp. Raises CouldNotAsk.

        A ramp that passed with all of the traffic has made the candidate's target that one.
        """
        page = await self._asked(self._client.gates(service=self._config.service, limit=_RECENT))
        gate = next((gate for gate in page.gates if gate.policy in policies), None)
        if gate is None or gate.ramp is None:
            return None
        if gate.may_stay and gate.ramp.full_at is not None:
            return gate.candidate.target
        return gate.baseline.target if gate.baseline is not None else None

    async def stays(self, policy: str, candidate: Arm, *, ramp: str | None = None) -> None:
        """Judge a version that has traffic without a switch in this run: nothing is undone, whatever the verdict. A
        pass, also that of the policy `ramp`, is not judged again, and a running gate is joined.

        Raises GateFailed, GateInconclusive or CouldNotAsk.
        """
        gate = await self._latest((policy, ramp or policy), candidate)
        if gate is not None and gate.may_stay:
            self.report.reason = f"it has the traffic already, and passed gate {gate.id}: nothing was switched"
            self._steps.say(self.report.reason)
            return
        self._steps.say("nothing is released and nothing switched")
        if gate is not None and not gate.is_answered:
            running = gate
            await self._steps.look(f"gate {gate.policy} of {gate.caller}", lambda: self._verdict(running))
        else:
            if ramp is not None:
                self._steps.say(f"{policy} judges it: a ramp begins at nothing, and it has the traffic already")
            await self.passes(policy, candidate)

    async def _latest(self, policies: Collection[str], candidate: Arm) -> GateDocument | None:
        """Return the newest gate of some policies about a candidate, of any deploy. Raises CouldNotAsk."""
        page = await self._asked(self._client.gates(service=self._config.service, limit=_RECENT))
        for gate in page.gates:
            named = {"version": gate.candidate.version, "target": gate.candidate.target}
            if gate.policy in policies and named == {
                "version": candidate["version"],
                "target": candidate.get("target"),
            }:
                return gate
        return None

    async def verdict(self) -> None:
        """Wait for the verdict of the gate that was started. Raises GateFailed, GateInconclusive or CouldNotAsk."""
        if (gate := self._gate) is not None:
            await self._steps.look(f"gate {gate.policy}", lambda: self._verdict(gate))

    async def abandon(self) -> None:
        """Abandon the gate, because the deploy is being undone: the daemon must not judge a version that is gone."""
        if (gate := self._gate) is None or gate.is_answered:
            return
        try:
            await self._client.cancel(gate.id, f"the deploy {self._key} is being undone")
        except (Refused, Unreachable) as error:
            if gate.ramp is not None:
                self._steps.say(f"gate {gate.id} could not be cancelled, and may go on with its ramp: {error}", "✗")
            return
        if gate.ramp is not None:
            await self._let_tries_end(gate.id)

    async def _let_tries_end(self, gate_id: str) -> None:
        """Wait for an action of the ramp that is being carried out: it must not come after the way back."""

        async def none_under_way() -> bool:
            return not any(action.under_way for action in (await self._client.actions(gate_id)).actions)

        with suppress(StepFailed, Refused, Unreachable):
            await wait_until(none_under_way, within=max(self.patience, _TRY), every=0.5, what="the end of the tries")

    async def _verdict(self, gate: GateDocument) -> str:
        self._gate = gate = await self._asked(self._followed(gate.id))
        self.report.gates.append(gate)
        sentence = gate.told or "cancelled"
        if gate.may_stay:
            return sentence
        if gate.decision is None and (gate.ramp is not None or self.report.exposed_at is not None):
            ordered = f", and ordered {gate.ramp.width} of the traffic" if gate.ramp is not None else ""
            raise LeftInPlace(f"gate {gate.id} was cancelled{ordered}: the traffic stays where it is. {sentence}")
        gate = await self._rolled_back(gate)
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
        gate = await self._latest(policies, candidate)
        if gate is None or gate.deployment.id != self._key or gate.may_stay:
            return
        self.report.exposed()
        try:
            await self._steps.look(f"gate {gate.policy}", lambda: self._verdict(gate))
        except (GateFailed, GateInconclusive) as stopped:
            raise LeftInPlace(f"{str(stopped).rstrip('.')}; {gate.candidate.version} keeps the traffic") from stopped

    async def _followed(self, gate_id: str) -> GateDocument:
        """Return the gate with its verdict; its progress is shown meanwhile."""
        with showing(quiet=self._steps.quiet) as show:
            async with aclosing(self._client.follow(gate_id)) as changes:
                async for gate in changes:
                    self.report.ramp = gate.ramp
                    show(gate)
        return gate

    async def _rolled_back(self, gate: GateDocument) -> GateDocument:
        """Wait for the daemon's rollback actions, if there are any. Return the gate as it is then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.rollback_patience):
                while (rollback := gate.rollback) is not None and rollback.state == "due":
                    await asyncio.sleep(0.5)
                    gate = await self._asked(self._client.gate(gate.id))
        if gate.rollback is not None:
            self._steps.say(f"healthd: {gate.rollback.told}")
            self.report.gates[-1] = gate
        return gate

    async def still_rolling_back(self) -> str | None:
        """Return a sentence on healthd's unfinished rollback, for the person who investigates; None when there is none,
        or it is unknown."""
        if self._gate is None:
            return None
        with suppress(Refused, Unreachable):
            gate = await self._client.gate(self._gate.id)
            if gate.rollback is not None and gate.rollback.state == "due":
                return f"healthd goes on trying to roll back: `healthd gate show {gate.id}` tells how far it is"
        return None

    async def _asked(self, call: Awaitable[ResultT]) -> ResultT:
        try:
            return await call
        except (Refused, Unreachable) as error:
            raise CouldNotAsk(str(error)) from error
