"""Gate that a deploy waits for: its verdict, and the rollback that it calls for."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from healthd.units import show_duration
from healthd_deploy.core.asked import answer_within, asked
from healthd_deploy.core.exit import CouldNotAsk, DeployAborted, GateFailed, GateInconclusive, LeftInPlace
from healthd_deploy.core.report import Report
from healthd_deploy.core.rolled_back import end_of
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import FAILED, code_of
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.commands.view import showing
from healthd_gates.schema.gate import GateDocument
from healthd_gates.schema.ramp import RampDocument

_TELLS_WITHIN = 5.0  # seconds


class FollowedGate:
    """Gate of a deploy as it was seen last, None before the deploy has one.

    With `no_rollback` nothing goes back once the version has traffic.
    """

    def __init__(
        self, client: GateClient, config: DeployConfig, steps: Steps, report: Report, *, no_rollback: bool
    ) -> None:
        self._client, self._config, self._steps, self._report = client, config, steps, report
        self._no_rollback = no_rollback
        self.gate: GateDocument | None = None

    @property
    def stays_in_place(self) -> bool:
        """True once the version has traffic that must stay with it."""
        return self._no_rollback and self._report.exposed_at is not None

    @property
    def share(self) -> float | None:
        """The share of the traffic, 0 to 1, that the version is to have while its gate judges: what its ramp ordered
        last, else all; None while a change of it is under way."""
        if self.gate is None or self.gate.ramp is None:
            return 1.0
        return None if self._report.ramp is None else _settled_share(self._report.ramp)

    async def has_moved_on(self, share: float) -> bool:
        """True once the gate has its verdict, or its ramp another order than this share, and where the daemon does not
        tell: healthd's own actions may be under way then."""
        if self.gate is None:
            return True
        seen = await answer_within(_TELLS_WITHIN, self._client.gate(self.gate.id))
        return seen is None or seen.is_answered or (seen.ramp is not None and _settled_share(seen.ramp) != share)

    async def verdict(self, gate: GateDocument, what: str = "") -> None:
        """Wait for the verdict of a gate, and tell it as `what` was waited for; then wait for the rollback that it
        calls for. Raises GateFailed, GateInconclusive, LeftInPlace, OrderedBack or CouldNotAsk."""
        try:
            await self._steps.look(what or f"gate {gate.policy}", lambda: self._judged(gate))
        except (GateFailed, GateInconclusive):
            if (end := await self._end_of_rollback()) is not None:
                raise end from None
            raise

    async def _judged(self, gate: GateDocument) -> str:
        """Return the verdict in a sentence, of a version that may stay."""
        self.gate = gate = await asked(self._followed(gate.id))
        self._report.gates.append(gate)
        sentence = gate.told or "cancelled"
        if gate.may_stay:
            return sentence
        if gate.decision is None and (gate.ramp is not None or self._report.exposed_at is not None):
            ordered = f", and ordered {gate.ramp.width} of the traffic" if gate.ramp is not None else ""
            raise LeftInPlace(f"gate {gate.id} was cancelled{ordered}: the traffic stays where it is. {sentence}")
        raise (GateFailed if code_of(gate) == FAILED else GateInconclusive)(f"{gate.verdict}: {sentence}")

    async def _end_of_rollback(self) -> DeployAborted | None:
        """Wait for the rollback after a verdict. Return the end that it gives the deploy, None where the verdict's own
        stands."""
        assert self.gate is not None
        gate = self.gate
        try:
            gate = await self._rolled_back(gate)
        except asyncio.CancelledError:  # the verdict stands
            self._steps.say("interrupted: healthd's rollback is not waited for any longer", "✗")
        end = end_of(gate) if self.stays_in_place else None
        return None if end is None else self._ends_with(end)

    def _ends_with(self, end: DeployAborted) -> DeployAborted:
        """Return the end that a rollback gives the deploy, noted in the report."""
        if end.code == FAILED:
            self._report.back()
        return end

    async def still_stands(self) -> None:
        """Raise OrderedBack or LeftInPlace if healthd has rolled back, or judged worse, since its gate passed. A daemon
        that does not answer has said that it passed."""
        if (gate := self.gate) is None or not gate.may_stay:
            return
        with suppress(Refused, Unreachable, CouldNotAsk):
            gate = await self._rolled_back(await self._client.gate(gate.id))
        if (end := end_of(gate)) is not None:
            self.gate = gate
            raise self._ends_with(end)

    async def _followed(self, gate_id: str) -> GateDocument:
        """Return the gate with its verdict; its progress is shown meanwhile. Raises CouldNotAsk where the journal stays
        away: nothing is decided then, as where nobody answers, and the version would keep its traffic for ever."""
        loop, longest = asyncio.get_running_loop(), self._config.healthd.retry_for
        away_from: float | None = None
        with showing(quiet=self._steps.quiet, until_verdict=True) as show:
            async with aclosing(self._client.follow(gate_id)) as changes:
                async for gate in changes:
                    self._report.ramp = gate.ramp
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
        if self._config.rollback_patience and gate.rollback is not None and gate.rollback.state == "due":
            self._steps.say(f"waiting up to {show_duration(self._config.rollback_patience)} for healthd to roll back")
        with suppress(TimeoutError, CouldNotAsk):
            async with asyncio.timeout(self._config.rollback_patience):
                while (rollback := gate.rollback) is not None and rollback.state == "due":
                    if failure is None and (failure := rollback.detail) is not None:
                        self._steps.say(f"healthd: {failure}", "✗")
                    await asyncio.sleep(0.5)
                    gate = await asked(self._client.gate(gate.id))
        if gate.rollback is not None:
            # Just after it no look has numbers of it yet: they would read as if nothing had been put back.
            is_new = gate.rollback.state == "confirming"
            self._steps.say(f"healthd: {'rolled back, watching it recover' if is_new else gate.rollback_told}")
            self._report.gates[-1] = gate
        return gate


def _settled_share(ramp: RampDocument) -> float | None:
    """Return the share that a ramp ordered last, None where that is not known to be done."""
    return ramp.weight if ramp.step and ramp.done_at is not None else None
