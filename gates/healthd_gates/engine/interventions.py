"""Changes of a gate that its callers ask for: cancel, decide, pause, resume, roll back, give up, put back. Every change
is stored, and audited, before it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from healthd.runtime.clock import Clock
from healthd_gates.domain.action_order import ActionRun
from healthd_gates.domain.errors import AlreadyDecided, NotHeld, NothingToRollBack, NotRollingBack
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine import ramp_pauses, rollback_transitions, transitions
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Step
from healthd_gates.engine.take_over import TakeOver

_UNDECIDED = (GateState.AWAITING, GateState.SETTLING, GateState.RAMPING, GateState.OBSERVING, GateState.HELD)


class Interventions:
    """Changes that callers ask for. Every method raises a `domain.errors.Refusal` to refuse; any of them may be
    `JournalUnavailable`."""

    def __init__(
        self, take_over: TakeOver, orders: Callable[[str], Awaitable[Sequence[ActionRun]]], clock: Clock
    ) -> None:
        """`orders` returns the actions that a gate has called for."""
        self._take_over, self._orders, self._clock = take_over, orders, clock

    async def cancel(self, gate_id: str, *, caller: str, reason: str) -> Gate:
        """End an undecided gate, or a watch. Raises UnknownGate, AlreadyDecided."""

        def called_for(gate: Gate) -> bool:
            if gate.state not in (*_UNDECIDED, GateState.WATCHING, GateState.CANCELLED):
                raise AlreadyDecided(gate_id=gate_id, state=gate.state.value)
            return gate.state is not GateState.CANCELLED

        def step(gate: Gate, _spec: GateSpec) -> Step:
            return transitions.cancel(gate, caller, reason, self._clock.now())

        return await self._take_over.step(gate_id, called_for, step)

    async def switched(self, gate_id: str, *, caller: str) -> Gate:
        """Let a gate that awaits the switch judge from now on; any other stays as it is. Raises UnknownGate."""

        def step(gate: Gate, spec: GateSpec) -> Step:
            return transitions.on_switched(gate, spec, self._clock.now(), caller)

        return await self._take_over.step(gate_id, lambda gate: gate.state is GateState.AWAITING, step)

    async def decide(self, gate_id: str, verdict: Verdict, *, caller: str, reason: str) -> Gate:
        """Store a person's decision, pass or fail, on a held gate. Raises UnknownGate, NotHeld, AlreadyDecided."""

        def called_for(gate: Gate) -> bool:
            if gate.state in _UNDECIDED and gate.state is not GateState.HELD:
                raise NotHeld(gate_id=gate_id, state=gate.state.value)
            if gate.state is not GateState.HELD:
                raise AlreadyDecided(gate_id=gate_id, state=gate.state.value)
            return True

        def step(gate: Gate, spec: GateSpec) -> Step:
            return transitions.on_person_verdict(gate, verdict, spec, caller, reason, self._clock.now())

        return await self._take_over.step(gate_id, called_for, step)

    async def pause(self, gate_id: str, *, caller: str, reason: str) -> Gate:
        """Stop the ramp of a gate where it is, until a person lets it go on. Raises UnknownGate, NotRamping."""

        def step(gate: Gate, _spec: GateSpec) -> Step:
            return ramp_pauses.pause(gate, caller, reason, self._clock.now())

        return await self._take_over.step(gate_id, ramp_pauses.may_pause, step)

    async def resume(self, gate_id: str, *, caller: str, reason: str, pause: int | None = None) -> Gate:
        """Let a ramp go on that is paused, by a person or by its policy; `pause` is the number of the pause that is
        meant. Raises UnknownGate, NotRamping, InvalidRequest."""

        def step(gate: Gate, _spec: GateSpec) -> Step:
            return ramp_pauses.resume(gate, caller, reason)

        return await self._take_over.step(gate_id, lambda gate: ramp_pauses.may_resume(gate, pause), step)

    async def rollback(self, gate_id: str, *, caller: str, reason: str, key: str | None = None) -> Gate:
        """Start a rollback that a person calls for: only once, but again if it was not seen to succeed. A call is
        idempotent by its key, however the first one ended; of two calls at the same time one starts the rollback.

        Raises UnknownGate, NothingToRollBack, and ServiceBusy if a newer gate holds the service.
        """

        seen = 0  # the round that this call would start: if it is past, somebody else was faster

        def called_for(gate: Gate) -> bool:
            nonlocal seen
            seen = seen or gate.next_round
            if gate.rollback is None or gate.next_round != seen:
                return gate.rollback is None
            return gate.rollback.state.may_be_called_for and (key is None or gate.rollback.key != key)

        def step(gate: Gate, spec: GateSpec) -> Step:
            pulled = transitions.manual_rollback(gate, spec, caller, reason, self._clock.now(), key)
            if not pulled.orders:
                raise NothingToRollBack(service=gate.service)
            return pulled

        return await self._take_over.step(gate_id, called_for, step)

    async def give_up(self, gate_id: str, *, caller: str, reason: str, done: bool = False) -> Gate:
        """End a rollback that does not get done, or that nobody could confirm, for a person; `done` says that it was
        done by hand. Raises UnknownGate, NotRollingBack."""

        def called_for(gate: Gate) -> bool:
            rollback = gate.rollback
            if rollback is None or not (rollback.state.is_under_way or (done and rollback.state.wants_a_person)):
                stands = (rollback.state if rollback else gate.state).value.replace("_", " ")
                raise NotRollingBack(gate_id=gate_id, state=stands)
            return True

        orders = await self._orders(gate_id)

        def step(gate: Gate, _spec: GateSpec) -> Step:
            return rollback_transitions.given_up(gate, orders, caller, reason, self._clock.now(), done=done)

        return await self._take_over.step(gate_id, called_for, step)

    async def put_back(self, gate_id: str, *, caller: str, reason: str) -> Gate:
        """End the actions of a rollback for the deploy tool, which has put the traffic back itself; what is confirmed
        or over already stays as it is. Raises UnknownGate, NotRollingBack where no rollback was called for."""

        def called_for(gate: Gate) -> bool:
            if gate.rollback is None:
                raise NotRollingBack(gate_id=gate_id, state=gate.state.value.replace("_", " "))
            return gate.rollback.state.is_open

        def step(gate: Gate, spec: GateSpec) -> Step:
            return rollback_transitions.put_back(gate, spec, caller, reason, self._clock.now())

        return await self._take_over.step(gate_id, called_for, step)
