"""Action `haproxy`: sets the weights of a backend's servers over HAProxy's Runtime API, without a reload."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from math import inf
from typing import ClassVar, Literal

from healthd.units import show_duration
from healthd_gates.actions.contract import (
    ActionConfig,
    ActionContext,
    ActionRequest,
    ActionResult,
    Departed,
    Ending,
    Unable,
)
from healthd_gates.actions.haproxy_backend import (
    DividedBackend,
    Divider,
    Division,
    least_share,
    weights_of,
)
from healthd_gates.actions.haproxy_runtime import Server
from healthd_gates.actions.not_divided import Impossible, NoneUp, NotDivided
from healthd_gates.actions.targets import places
from healthd_gates.sources.contract import Arms


class HAProxyConfig(DividedBackend, ActionConfig):
    kind: Literal["haproxy"] = "haproxy"

    @property
    def sets_weight(self) -> bool:
        """True: it gives the candidate's servers a part of the traffic."""
        return True

    @property
    def named_targets(self) -> Collection[str]:
        return self.servers

    def check(self, arms: Arms) -> None:
        places({target: target for target in self.servers}, arms)


class HAProxy:
    """Sets the weights, and is done once every HAProxy has them."""

    config_model: ClassVar[type[ActionConfig]] = HAProxyConfig

    def __init__(self, config: HAProxyConfig, context: ActionContext) -> None:
        self._config, self._clock = config, context.clock
        self._divider = Divider(config)

    async def execute(self, order: ActionRequest) -> ActionResult:
        try:
            division = self._ordered(order)
            await self._divider.divide(division, goes_back=not order.share)
        except NoneUp as down:
            if not order.share:
                return ActionResult(Ending.NO_BASELINE, str(down))
            return ActionResult(Ending.RETRY, f"{down}, and gets no traffic")
        except Impossible as refused:
            return ActionResult(Ending.REFUSED, str(refused))
        except NotDivided as failed:
            return ActionResult(Ending.RETRY, str(failed))
        weights = division.weights
        told = f"{self._config.backend}: weight {weights.candidate} for {', '.join(division.candidate)}"
        return ActionResult(Ending.DONE, f"{told}, {weights.baseline} for {', '.join(division.baseline)}", seen=True)

    async def describe(self, order: ActionRequest) -> str:
        try:
            division = self._ordered(order)
            await self._divider.look(division)
        except NotDivided as failed:
            raise Unable(str(failed)) from None
        weights = division.weights
        return (
            f"would set the weight {weights.candidate} for {', '.join(division.candidate)} and {weights.baseline} for "
            f"{', '.join(division.baseline)} in {self._config.backend}"
        )

    async def departed(self, order: ActionRequest, ago: float, right: MutableMapping[str, float]) -> Departed | None:
        division = self._ordered(order)
        wanted = division.wanted
        answered, _ = await self._divider.found_where_answered()
        now = self._clock.steady()
        for socket, found in answered.items():
            wrong = [server for server, weight in wanted.items() if found[server].weight != weight]
            if not wrong or (order.share >= 1.0 and _has_all(found, division)):
                right[socket] = now
                continue
            has = ", ".join(f"{server} the weight {found[server].weight} and not {wanted[server]}" for server in wrong)
            up = await self._divider.up_for(socket)
            is_new = up is not None and up < min(ago, now - right.get(socket, -inf))
            why = (
                f", since it was reloaded or started again {show_duration(up)} ago" if is_new and up is not None else ""
            )
            return Departed(f"HAProxy at {socket} gives {has}{why}", is_new)
        return None

    async def close(self) -> None: ...

    def _ordered(self, order: ActionRequest) -> Division:
        """Return how the traffic is to be divided. Raises Impossible for a share that no weights give."""
        named = {target: target for target in self._config.servers}
        candidate, baseline = places(named, order.arms)
        beside = next(target for target in named if target != baseline)
        arms = self._config.servers[candidate or beside], self._config.servers[baseline]
        weights = weights_of(order.share, *map(len, arms))
        if weights is None:
            least = f"{least_share(*map(len, arms)):.2%}: give the ramp more budget"
            raise Impossible(f"a share of {order.share:.2%} is less than HAProxy's weights can give, {least}")
        return Division(weights, *arms)


def _has_all(found: Mapping[str, Server], division: Division) -> bool:
    """Return whether the candidate's servers have all of the traffic, by whatever weights."""
    has = {server for server in (*division.candidate, *division.baseline) if found[server].weight}
    return bool(has) and has <= set(division.candidate)
