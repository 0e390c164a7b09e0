"""The watch after a rollback's actions: the baseline is to be seen with the traffic, and what a balancer has forgotten
of the rollback is ordered again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from healthd_gates.domain.action_order import ActionRun, Departed
from healthd_gates.domain.gate import Rollback, RollbackState
from healthd_gates.engine import rollback_transitions
from healthd_gates.engine.observer_factory import NotObservable, ObserverContext, open_traffic
from healthd_gates.engine.recorder import Record
from healthd_gates.engine.rollback_confirmation import Recovery, bounds_of, rate_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Step
from healthd_gates.engine.ticker import Ticker
from healthd_gates.engine.weight_look import SeenRight, WeightLook

_LOOKS_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class RollbackWatch:
    """The watch of one gate. `late` is called for every late tick."""

    record: Record
    spec: GateSpec
    context: ObserverContext
    weights: WeightLook
    right: SeenRight
    late: Callable[[float], None]

    async def run(self, rollback: Rollback, orders: Sequence[ActionRun]) -> Step:
        """Watch the traffic until the baseline is seen to have it and to be healthy, or the timeout has passed. Return
        the step that ends the rollback, or orders again what is lost of it; `orders` are all of the gate, read just
        now. Raises LeaseLost."""
        gate, clock = self.record.gate, self.context.clock
        kept, orders, read_at = self.record.cursor or {}, latest(orders), clock.steady()
        try:
            traffic = open_traffic(gate, self.spec, self.context, kept.get("source"))
        except NotObservable as gone:
            return rollback_transitions.unobserved(gate, str(gone), RollbackState.UNCONFIRMED, clock.now())
        recovery = self._recovery()
        ticks, until, looks = Ticker(clock, self.spec.policy.interval), rollback.confirm_until or rollback.at, 0
        lost: Sequence[tuple[ActionRun, Departed]] = ()
        try:
            # A few evaluations, even if the time was over before a crashed replica was back to make one.
            while not recovery.is_confirmed and (looks < _LOOKS_AT_LEAST or clock.now() < until):
                looks += 1
                self.late(await ticks.wait())
                look = await traffic.look()
                recovery.take(look.evidence, look.notes)
                lost = await self.weights.forgotten(self.record.gate, orders, self.right, read_at=read_at)
                if lost and clock.now() < until:  # a balancer that never rests must not keep it open
                    again, why = [order for order, _ in lost], lost[0][1].what
                    return rollback_transitions.order_again(self.record.gate, again, why)
                now = clock.now()
                self.record.cursor = {"source": traffic.cursor, "at": now.isoformat(), **self.right.kept()}
                await self.record.write(rollback_transitions.recovering(self.record.gate, recovery.sentence), now)
        finally:
            await traffic.close()
        state, sentence = recovery.ends(rollback.seen_by)
        if lost:
            state, sentence = RollbackState.UNCONFIRMED, f"{lost[0][1].what}; {sentence}"
        return rollback_transitions.end_rollback(self.record.gate, state, sentence, clock.now())

    def _recovery(self) -> Recovery:
        source = self.spec.service.traffic_source if self.spec.service else None
        ramp = self.record.gate.ramp
        usual = rate_of(self.record.gate.standing, self.spec.policy)
        before = ramp.traffic if ramp is not None and ramp.traffic else usual
        return Recovery(bounds_of(self.spec.policy), before, sees_traffic=source is None or source.sees_traffic)


def latest(orders: Sequence[ActionRun]) -> Sequence[ActionRun]:
    """Return the last order of each action of a rollback, whichever round it is of: a round after the first one orders
    again only what was lost, and what the others did is to hold as well. `orders` are those of a gate, the oldest
    first."""
    return list({order.action: order for order in orders if order.occasion.is_rollback}.values())
