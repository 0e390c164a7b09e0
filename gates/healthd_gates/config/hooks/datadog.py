"""The options of the hook for Datadog's deployment gates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from healthd.wording import shape
from healthd_gates.config.hooks.contract import Deploys, HookConfig

ServiceInEnvironment = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[^\s/][^\s]{0,199}$", "a service, or a service, a slash and an environment")),
]


class DatadogConfig(HookConfig):
    """Answers the requests of Datadog's deployment gates."""

    kind: Literal["datadog"]
    gates: dict[ServiceInEnvironment, Deploys] = Field(min_length=1)
    """The deploys, as service/env: `--service` and `--env` of datadog-ci."""

    def deploys(self) -> Iterable[Deploys]:
        return self.gates.values()
