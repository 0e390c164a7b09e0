"""The placeholder of an action while a variable that it needs is unset: no gate that might need the action starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from healthd_gates.actions.contract import ActionConfig, ActionRequest, ActionResult, Ending
from healthd_gates.sources.contract import ArmError, Arms


class MisconfiguredAction(ActionConfig):
    missing: tuple[str, ...]

    @property
    def problem(self) -> str:
        return f"not set: {', '.join(self.missing)}"

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        return self.problem

    def check(self, arms: Arms) -> None:
        raise ArmError("service", f"{self.problem}; until then only a gate with rollback off can start")


class Misconfigured:
    """Retries for gates that started earlier: the variables may be set, and the file reloaded, in time."""

    config_model: ClassVar[type[ActionConfig]] = MisconfiguredAction

    def __init__(self, config: MisconfiguredAction, *_: Any) -> None:
        self._problem = config.problem

    async def execute(self, _order: ActionRequest) -> ActionResult:
        return ActionResult(Ending.RETRY, self._problem)

    async def describe(self, _order: ActionRequest) -> str:
        return f"nothing: {self._problem}"

    async def close(self) -> None:
        """Do nothing: nothing is open."""
