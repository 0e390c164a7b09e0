"""The options of the hook for Spinnaker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from healthd.config.model import Name
from healthd_gates.config.hooks.contract import Deploys, HookConfig


class SpinnakerConfig(HookConfig):
    """Answers Spinnaker's webhook stages."""

    kind: Literal["spinnaker"]
    stages: dict[Name, Deploys] = Field(min_length=1)
    """The stages that may call, by the name in their payload."""

    def deploys(self) -> Iterable[Deploys]:
        return self.stages.values()
