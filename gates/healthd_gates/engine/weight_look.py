"""Looks whether the traffic still is divided as a done order says: a balancer that keeps weights in its memory loses
them when it begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from datetime import datetime

from healthd.config.in_force import Current
from healthd.runtime.clock import Clock
from healthd_gates.actions.contract import ActionRequest
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import ActionRun, Departed, Occasion, OrderState
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.spec import GateSpec, action_arms
from healthd_gates.sources.contract import Arms

Right = MutableMapping[str, MutableMapping[str, float]]
"""When each place of each action was last seen to be as ordered: of one gate, from look to look."""


class WeightLook:
    """Asks the actions of a gate. What cannot be seen is no finding."""

    def __init__(self, attempts: Attempts, config: Current[Config], clock: Clock) -> None:
        self._attempts, self._in_force, self._clock = attempts, config, clock

    async def of_ramp(self, gate: Gate, spec: GateSpec, right: Right) -> Departed | None:
        """Return how the traffic departs from the last weight of a ramp, which is done; None where it does not."""
        ramp = gate.ramp
        if ramp is None or not ramp.step or ramp.is_under_way or ramp.since is None:
            return None
        asked = [
            ActionRequest(
                f"{gate.id}:{ramp.purpose}:{name}", name, Occasion.RAMP, gate, self._arms(gate), weight=ramp.weight
            )
            for name in spec.ramp_actions
        ]
        found = [each for each in await self._of(asked, ramp.since, right) if each is not None]
        return next((each for each in found if each.is_forgotten), found[0] if found else None)

    async def forgotten(
        self, gate: Gate, orders: Sequence[ActionRun], right: Right
    ) -> Sequence[tuple[ActionRun, Departed]]:
        """Return those orders of a rollback that are done and were forgotten since, and how the traffic departs."""
        done = [order for order in orders if order.state in (OrderState.DONE, OrderState.SEEN)]
        if not done:
            return ()
        asked = [
            ActionRequest(order.key, order.action, order.occasion, gate, self._arms(gate), weight=order.weight)
            for order in done
        ]
        found = await self._of(asked, min(order.created_at for order in done), right)
        return [
            (order, each) for order, each in zip(done, found, strict=True) if each is not None and each.is_forgotten
        ]

    def _arms(self, gate: Gate) -> Arms:
        return action_arms(gate.service, self._in_force.now.services.get(gate.service), gate.candidate, gate.baseline)

    async def _of(
        self, asked: Sequence[ActionRequest], ordered_at: datetime, right: Right
    ) -> Sequence[Departed | None]:
        ago = (self._clock.now() - ordered_at).total_seconds()
        return await asyncio.gather(*(self._one(request, ago, right) for request in asked))

    async def _one(self, request: ActionRequest, ago: float, right: Right) -> Departed | None:
        if (config := self._in_force.now.actions.get(request.action)) is None:
            return None
        return await self._attempts.departed(config, request, ago, right.setdefault(request.action, {}))
