"""Rights of a caller: scopes or a role, and the checks, services and environments to which they are bound."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from healthd.config.model import Model, Name
from healthd.config.reach import Reach
from healthd.config.window import Labelled
from healthd.labels import LabelName, matches
from healthd.units import Names

SCOPES = (
    "health:read",
    "checks:run",
    "heartbeats:write",
    "windows:write",
    "incidents:write",
    "gates:read",
    "gates:verify",
    "gates:rollback",
    "gates:hooks",
    "telemetry:write",
    "audit:read",
    "admin",
)
Role = Literal["viewer", "deployer", "operator", "admin"]
_VIEWER = frozenset({"health:read", "gates:read"})
_DEPLOYER = _VIEWER | {"gates:verify", "gates:hooks", "heartbeats:write", "telemetry:write"}
ROLES: dict[Role, frozenset[str]] = {
    "viewer": _VIEWER,
    "deployer": _DEPLOYER,
    "operator": _DEPLOYER | {"checks:run", "windows:write", "incidents:write", "gates:rollback", "audit:read"},
    "admin": frozenset({"admin"}),
}


class Grant(Model):
    """Rights of a caller, and the services, checks and environments to which they are bound."""

    name: Name
    """Name of the holder; the audit shows it."""
    scopes: frozenset[Literal[SCOPES]] = Field(frozenset(), min_length=1)  # type: ignore[valid-type]
    """Scopes that it grants; `admin` includes all of them."""
    role: Role | None = None
    """Role, as a name for scopes: `viewer` reads, `deployer` starts and cancels gates too, `operator` rolls back, runs
    checks, adds windows, writes about incidents and reads the audit too, `admin` may do all."""
    services: Names = ()
    """Services whose gates and locks it may change, and that it may freeze; `*` matches any text. Without `services`,
    `checks`, `groups` and `labels` all; where one of the first three is given, nothing of the other two."""
    checks: Names = ()
    """Checks that it may run, report for and cover by windows; `*` matches any text."""
    groups: Names = ()
    """Groups whose checks it may run, report for and cover by windows."""
    labels: dict[LabelName, Names] = Field(default_factory=dict)
    """Labels that a service or check must have to be changed by it, each with one of these values."""
    environments: Names = ()
    """Environments, as `environment` names this one, in which it is valid; all by default."""
    hooks: tuple[Name, ...] | None = None
    """Names of the hooks that it opens with `gates:hooks`; all by default."""

    @model_validator(mode="after")
    def _grants_something(self) -> Self:
        if not self.scopes and self.role is None:
            raise ValueError(f"grants nothing: write role, one of {', '.join(ROLES)}, or scopes")
        return self

    @property
    def granted(self) -> frozenset[str]:
        """Scopes, those of the role included."""
        return self.scopes | (ROLES[self.role] if self.role is not None else frozenset())

    @property
    def reach(self) -> Reach | None:
        """Checks and services that it may change; None: all."""
        if not (self.services or self.checks or self.groups or self.labels):
            return None
        labels: Labelled = self.labels
        return Reach(self.services, self.checks, self.groups, labels)

    def holds_in(self, environment: str) -> bool:
        return not self.environments or matches(environment, self.environments)
