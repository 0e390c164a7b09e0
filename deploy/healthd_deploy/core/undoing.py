"""What healthd is told of a deploy that is undone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from healthd_deploy.core.asked import answer_within, why_not_within
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.followed_gate import FollowedGate
from healthd_deploy.core.report import Report
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps, wait_until
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable

TOLD_WITHIN = 5.0  # seconds for a daemon to take in that a deploy is undone
_TRY = 60.0  # seconds that a try of an action gets to come to its end


class Undoing:
    """Tells healthd of the way back of the deploy named `key`. Waits for no daemon that does not answer."""

    def __init__(
        self,
        client: GateClient,
        config: DeployConfig,
        key: str,
        steps: Steps,
        earlier: EarlierGates,
        followed: FollowedGate,
        report: Report,
    ) -> None:
        self._client, self._config, self._key, self._steps = client, config, key, steps
        self._earlier, self._followed, self._report = earlier, followed, report

    async def abandon(self) -> bool:
        """Abandon the gate, because the deploy is being undone: the daemon must not judge a version that is gone.
        Return False where it does not answer, as the way back does not wait for it."""
        if (gate := self._followed.gate) is None or gate.is_answered:
            return True
        try:
            async with asyncio.timeout(TOLD_WITHIN):
                await self._client.cancel(gate.id, self._earlier.undoing)
        except (Refused, Unreachable, TimeoutError) as error:
            why = why_not_within(TOLD_WITHIN, error) if isinstance(error, TimeoutError) else str(error)
            goes_on = ", and may go on with its ramp" if gate.ramp is not None else ""
            self._steps.say(f"gate {gate.id} could not be cancelled{goes_on}: {why}", "✗")
            return isinstance(error, Refused) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR  # else not for now
        if gate.ramp is not None:
            await self._let_tries_end(gate.id)
        return True

    async def _let_tries_end(self, gate_id: str) -> None:
        """Wait for an action of the ramp that is being carried out: it must not come after the way back."""

        async def none_under_way() -> bool:
            return not any(action.under_way for action in (await self._client.actions(gate_id)).actions)

        with suppress(StepFailed, Refused, Unreachable):
            await wait_until(
                none_under_way, within=max(self._config.rollback_patience, _TRY), every=0.5, what="the end of the tries"
            )

    async def tell_end(self, *, abandoned: bool, undone: bool) -> None:
        """Tell healthd how the way back ended, or what it does not know by now. Raises nothing: a daemon that does not
        answer is not waited for."""
        if (gate := self._followed.gate) is None:
            return
        if not abandoned and not await self.abandon():
            order = f"`healthd gate cancel {gate.id} --reason …`"
            self._steps.say(f"healthd does not know that the deploy is undone: once it answers, {order} tells it", "✗")
            return
        await answer_within(
            TOLD_WITHIN, self._tell_put_back(gate.id) if undone else self._tell_still_rolling_back(gate.id)
        )

    async def _tell_put_back(self, gate_id: str) -> None:
        """Tell healthd, whose rollback is not done, that this tool has put the traffic back: else it would act, and
        call people, for what is over."""
        if self._report.back_at is None:
            return
        rollback = (await self._client.gate(gate_id)).rollback
        if rollback is not None and rollback.state.is_open:
            told = await self._client.put_back(gate_id, f"deploy {self._key} undid its switch")
            self._report.gates[-1:] = [told]
            self._steps.say(f"healthd is told, and tries no more: {told.rollback.told if told.rollback else ''}")

    async def _tell_still_rolling_back(self, gate_id: str) -> None:
        """Tell of healthd's unfinished rollback, for the person who investigates."""
        gate = await self._client.gate(gate_id)
        if gate.rollback is not None and gate.rollback.state == "due":
            self._steps.say(f"healthd goes on trying to roll back: `healthd gate show {gate.id}` tells how far it is")
