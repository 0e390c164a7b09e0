"""The options of the hook for Argo Rollouts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.config.hooks.object_name import ObjectName


class ArgoRolloutsConfig(HookConfig):
    """Answers the web metrics of Argo Rollouts."""

    kind: Literal["argo_rollouts"]
    rollouts: dict[ObjectName, Deploys] = Field(min_length=1)
    """The rollouts that may call, as namespace/name."""

    def deploys(self) -> Iterable[Deploys]:
        return self.rollouts.values()

    @property
    def vacates(self) -> bool:
        return True

    @property
    def stops_asking(self) -> bool:
        return True
