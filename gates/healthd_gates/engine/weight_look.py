"""Looks whether the traffic still is divided as a done order says: a balancer that keeps weights in its memory loses
them when it begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from datetime import datetime
from functools import partial

from healthd.config.in_force import Current
from healthd.runtime.clock import Clock
from healthd_gates.actions.contract import ActionRequest
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import ActionRun, Departed, Occasion, OrderState
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.spec import GateSpec, action_arms
from healthd_gates.sources.contract import Arms, Cursor

_RIGHT = "right"


class SeenRight:
    """The times when each place of each action was last seen to be as ordered: of one gate, from look to look. They are
    kept with the position of the gate's sources, as seconds before that, so that a replica that takes the gate over
    knows it: the weights that a person has set since then would be taken for forgotten ones."""

    def __init__(self, clock: Clock, cursor: Cursor | None) -> None:
        """Set up what the `cursor` of a gate has. A time from a steady clock is of one process alone."""
        self._clock = clock
        self._seen: dict[str, dict[str, float]] = {}
        if cursor and _RIGHT in cursor:
            passed = max(0.0, (clock.now() - datetime.fromisoformat(cursor["at"])).total_seconds())
            at = clock.steady() - passed
            self._seen = {
                action: {place: at - ago for place, ago in places.items()} for action, places in cursor[_RIGHT].items()
            }

    def of(self, action: str) -> MutableMapping[str, float]:
        """Return the steady time for each place of an action, to be written to."""
        return self._seen.setdefault(action, {})

    def kept(self) -> Cursor:
        """Return what a cursor of now is to have of it; nothing where nothing was seen."""
        now = self._clock.steady()
        seen = {
            action: {place: round(now - at, 3) for place, at in places.items()}
            for action, places in self._seen.items()
            if places
        }
        return {_RIGHT: seen} if seen else {}


class WeightLook:
    """Asks the actions of a gate. What cannot be seen is no finding."""

    def __init__(self, attempts: Attempts, config: Current[Config], clock: Clock) -> None:
        self._attempts, self._in_force, self._clock = attempts, config, clock

    async def of_ramp(self, gate: Gate, spec: GateSpec, right: SeenRight) -> Departed | None:
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
        ago = (self._clock.now() - ramp.since).total_seconds()
        looks = await asyncio.gather(*(self._one(right, each, ago) for each in asked))
        found = [each for each in looks if each is not None]
        return next((each for each in found if each.is_forgotten), found[0] if found else None)

    async def forgotten(
        self, gate: Gate, orders: Sequence[ActionRun], right: SeenRight, *, read_at: float
    ) -> Sequence[tuple[ActionRun, Departed]]:
        """Return those orders of a rollback, read at a steady time, that are done and were forgotten since, and how the
        traffic departs."""
        done = [order for order in orders if order.state in (OrderState.DONE, OrderState.SEEN)]
        if not done:
            return ()
        asked = [
            ActionRequest(order.key, order.action, order.occasion, gate, self._arms(gate), weight=order.weight)
            for order in done
        ]
        passed = self._clock.steady() - read_at
        ages = [order.age + passed for order in done]
        found = await asyncio.gather(*map(partial(self._one, right), asked, ages))
        return [
            (order, each) for order, each in zip(done, found, strict=True) if each is not None and each.is_forgotten
        ]

    def _arms(self, gate: Gate) -> Arms:
        return action_arms(gate.service, self._in_force.now.services.get(gate.service), gate.candidate, gate.baseline)

    async def _one(self, right: SeenRight, request: ActionRequest, ago: float) -> Departed | None:
        if (config := self._in_force.now.actions.get(request.action)) is None:
            return None
        return await self._attempts.departed(config, request, ago, right.of(request.action))
