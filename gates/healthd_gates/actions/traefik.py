"""Action `traefik`: writes a weighted service into a file that Traefik's file provider watches, and waits until
Traefik has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Literal

from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending, Unable
from healthd_gates.actions.not_divided import Impossible, NoneUp, NotDivided
from healthd_gates.actions.targets import places
from healthd_gates.actions.traefik_file import Weights
from healthd_gates.actions.traefik_service import (
    ALL,
    Divider,
    WeightedService,
    shown,
    weight_of,
)
from healthd_gates.sources.contract import Arms


class TraefikConfig(WeightedService, ActionConfig):
    kind: Literal["traefik"] = "traefik"

    @property
    def sets_weight(self) -> bool:
        """True: it gives the candidate's service a part of the traffic."""
        return True

    @property
    def named_targets(self) -> Collection[str]:
        return self.services

    def check(self, arms: Arms) -> None:
        places(self.services, arms)

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        folder = self.file.parent
        return None if folder.is_dir() else f"{folder}, the folder that Traefik is to watch, is not there"


class Traefik:
    """Sets the weights, and is done once every Traefik has them."""

    config_model: ClassVar[type[ActionConfig]] = TraefikConfig

    def __init__(self, config: TraefikConfig, context: ActionContext) -> None:
        self._config = config
        self._divider = Divider(config, context.clock)

    async def execute(self, order: ActionRequest) -> ActionResult:
        weights, gaining = self._wanted(order)
        try:
            await self._divider.divide(weights, gaining, goes_back=not order.share)
        except NoneUp as down:
            return ActionResult(Ending.RETRY if order.share else Ending.NO_BASELINE, str(down))
        except Impossible as refused:
            return ActionResult(Ending.REFUSED, str(refused))
        except NotDivided as failed:
            return ActionResult(Ending.RETRY, str(failed))
        return ActionResult(Ending.DONE, f"{self._config.service}: {shown(weights)}", seen=True)

    async def describe(self, order: ActionRequest) -> str:
        weights, gaining = self._wanted(order)
        try:
            await self._divider.look(weights, gaining)
        except NotDivided as failed:
            raise Unable(str(failed)) from None
        return f"would set {shown(weights)} in {self._config.service}, by {self._config.file}"

    async def close(self) -> None:
        await self._divider.close()

    def _wanted(self, order: ActionRequest) -> tuple[Weights, str]:
        """Return the weight of each service, never more for the candidate than was ordered, and the one that gains."""
        candidate, baseline = places(self._config.services, order.arms)
        candidate = candidate or next(each for each in self._config.services.values() if each != baseline)
        share = weight_of(order.share)
        return {baseline: ALL - share, candidate: share}, candidate if order.share else baseline
