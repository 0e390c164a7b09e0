"""Report to healthd of a deploy that is undone."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from healthd.units import show_duration
from healthd_deploy.core.asked import answer_within, why_not_within
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk, StepFailed
from healthd_deploy.core.followed_gate import FollowedGate
from healthd_deploy.core.gate_request import Arm
from healthd_deploy.core.report import Report
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps, wait_until
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.schema.gate import GateDocument

TOLD_WITHIN = 5.0  # seconds for a daemon to take in that a deploy is undone
_TRY = 60.0  # seconds that a try of an action gets to come to its end
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between two tries to tell it
_OVER = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)  # answers of which nothing is left to be abandoned


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Gate whose start was asked for and not answered: healthd may have begun it."""

    policy: str
    candidate: Arm
    ramps: bool


class Undoing:
    """Tells healthd of the way back of the deploy named `key`. The way back waits for no daemon that does not answer;
    once all is back, the daemon is told for as long as `undo_within`."""

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
        self._failure, self._is_refused = "", False
        self.unanswered: Unanswered | None = None
        """Gate that is to be looked for, where none is followed."""

    async def abandon(self) -> bool:
        """Abandon the gate, because the deploy is being undone: the daemon must not judge a version that is gone.
        Return False where it is not known to have taken that in, as the way back does not wait for it."""
        if await self._abandoned():
            return True
        gate, goes_on = self._followed.gate, ", and may go on with its ramp" if self._ramps else ""
        named = "the gate that was asked for" if gate is None else f"gate {gate.id}"
        self._steps.say(f"{named} could not be cancelled{goes_on}: {self._failure}", "✗")
        return False

    async def _abandoned(self) -> bool:
        """Try that once. Return False, with why, where healthd does not know of it."""
        try:
            async with asyncio.timeout(TOLD_WITHIN):
                gate = await self._to_be_abandoned()
                if gate is None:
                    return True
                await self._client.cancel(gate.id, self._earlier.undoing)
        except (CouldNotAsk, Refused, Unreachable, TimeoutError) as error:
            self._failure = why_not_within(TOLD_WITHIN, error) if isinstance(error, TimeoutError) else str(error)
            refusal = error.__cause__ if isinstance(error, CouldNotAsk) else error
            status = refusal.status if isinstance(refusal, Refused) else HTTPStatus.SERVICE_UNAVAILABLE
            self._is_refused = status < HTTPStatus.INTERNAL_SERVER_ERROR  # else not for now
            return status in _OVER
        if gate.ramp is not None:
            await self._let_tries_end(gate.id)
        return True

    async def _to_be_abandoned(self) -> GateDocument | None:
        """Return the gate that runs, also one of which nothing is known but that it was asked for. Raises
        CouldNotAsk."""
        if self._followed.gate is None and (asked := self.unanswered) is not None:
            found = await self._earlier.latest((asked.policy,), asked.candidate)
            self._followed.gate = found if found is not None and self._earlier.is_own(found) else None
            self.unanswered = None
        gate = self._followed.gate
        return None if gate is None or gate.is_answered else gate

    @property
    def _ramps(self) -> bool:
        if (gate := self._followed.gate) is not None:
            return gate.ramp is not None
        return self.unanswered is not None and self.unanswered.ramps

    async def _let_tries_end(self, gate_id: str) -> None:
        """Wait for an action of the ramp that is being carried out: it must not come after the way back."""

        async def none_under_way() -> bool:
            return not any(action.under_way for action in (await self._client.actions(gate_id)).actions)

        with suppress(StepFailed, Refused, Unreachable):
            await wait_until(
                none_under_way, within=max(self._config.rollback_patience, _TRY), every=0.5, what="the end of the tries"
            )

    async def tell_end(self, *, abandoned: bool, undone: bool, at_once: bool) -> str | None:
        """Tell healthd how the way back ended. Return what healthd may still undo of it, for people: a ramp that goes
        on, which could not be cancelled within `undo_within`, or at once where nobody is to wait."""
        if not abandoned and not await self._goes_on_telling(0.0 if at_once else self._config.undo_within):
            return self._may_widen_again
        if (gate := self._followed.gate) is not None:
            await answer_within(
                TOLD_WITHIN, self._tell_put_back(gate.id) if undone else self._tell_still_rolling_back(gate.id)
            )
        return None

    async def _goes_on_telling(self, within: float) -> bool:
        """Cancel the gate as soon as healthd answers. Return False where it does not in so many seconds."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        until = loop.time() + within
        try:
            while not await self._abandoned():
                rest = until - loop.time()
                if self._is_refused or rest < pause:
                    break
                if pause == _FIRST_PAUSE:
                    self._steps.say(
                        "healthd does not know yet that the deploy is undone: it is told again for up to "
                        f"{show_duration(round(rest))}, or until Ctrl-C; `{self.order}` does the same"
                    )
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._steps.say("healthd knows now that the deploy is undone", "✓")
                return True
        except asyncio.CancelledError:
            self._failure = f"interrupted; {self._failure}"
        answers = "a token that may" if self._is_refused else "once it answers"
        told = f"healthd does not know that the deploy is undone ({self._failure.rstrip('.')})"
        self._steps.say(f"{told}: {answers}, `{self.order}` tells it", "✗")
        return False

    @property
    def order(self) -> str:
        """The command by which a person abandons the gate."""
        gate = self._followed.gate
        which = (gate.id,) if gate is not None else ("--last", self._config.service)
        return shlex.join(("healthd", "gate", "cancel", *which, "--reason", self._earlier.undoing))

    @property
    def _may_widen_again(self) -> str | None:
        if not self._ramps:
            return None
        return f"the ramp, which healthd goes on with as soon as it can, unless `{self.order}` comes before it"

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
