"""The daemon's own checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import model_validator

from healthd.config.model import Name
from healthd.config.sections import Group
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from healthd.nearest import not_under
from healthd_gates.criteria.contract import Configured, CriterionContext, ObservedCriterion
from healthd_gates.criteria.wording import listed
from healthd_gates.domain.evidence import Observation

_CRITICAL_BY_DEFAULT = ("ready", "startup", "preflight")


class Checks(ObservedCriterion):
    """The daemon's own checks: a group, or some by name. Fails when they are unhealthy `failures` times in a row."""

    kind: Literal["checks"] = "checks"
    group: Name | None = None
    """A group of checks, as under `groups`."""
    checks: tuple[Name, ...] = ()
    """Checks by name, instead of a group."""

    @model_validator(mode="after")
    def _names_one_or_the_other(self) -> Self:
        if bool(self.group) == bool(self.checks):
            raise ValueError("name either a group or a list of checks")
        return self

    def check(self, configured: Configured) -> None:
        if self.group is not None and configured.groups is not None and self.group not in configured.groups:
            raise ValueError(f"group names {not_under('groups', self.group, configured.groups)}")
        for check in self.checks if configured.checks is not None else ():
            if check not in (configured.checks or ()):
                raise ValueError(f"checks names {not_under('checks', check, configured.checks or ())}")

    def unanswerable(self, groups: Mapping[str, Group]) -> str | None:
        if self.group is None or ((group := groups.get(self.group)) is not None and group.checks):
            return None
        by_default = ", or mark checks `critical: true`" if self.group in _CRITICAL_BY_DEFAULT else ""
        return f"{self._none}{by_default}"

    async def observe(self, context: CriterionContext) -> Observation:
        """Return whether the checks are up. Checks that did not run yet, or no longer run, have no answer."""
        try:
            states = self._states(context.board)
        except KeyError as missing:
            return self.unknown(f"{missing.args[0]} is not configured any more")
        counted = [state for state in states if state.maintenance is None]
        down = _down(states)
        unknown = [state.name for state in counted if state.status is Status.UNKNOWN]
        if down:
            return self.no(f"unhealthy: {listed(down)}")
        if unknown:
            return self.unknown(f"not known: {listed(unknown)}")
        if not counted:
            return self.unknown("all its checks are in maintenance" if states else self._none)
        return self.yes(f"{len(counted)} up")

    def down(self, board: Board) -> list[str]:
        """Return the names of the checks that are unhealthy now, and would make it fail."""
        try:
            return _down(self._states(board))
        except KeyError:
            return []

    @property
    def _none(self) -> str:
        return f"no check is in the group {self.group}: name some under groups.{self.group}.checks"

    def _states(self, board: Board) -> Sequence[CheckState]:
        if self.group is not None:
            return board.group(self.group).checks
        return [board.check(check) for check in self.checks]


def _down(states: Sequence[CheckState]) -> list[str]:
    return [state.name for state in states if state.maintenance is None and state.status is Status.UNHEALTHY]
