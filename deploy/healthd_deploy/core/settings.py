"""What the configuration of every deploy tool has in common. What a platform needs besides is its own folder's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from healthd.config.settings import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape

Url = Annotated[
    str, StringConstraints(pattern=shape(r"^https?://\S+$", "an address that begins with http:// or https://"))
]


class Daemon(Model):
    """Where healthd is, and as whom to ask."""

    url: Url = "http://127.0.0.1:8080"
    """The daemon's address."""
    token: SecretStr | None = None
    """A bearer token with the scopes gates:read and gates:verify."""
    retry_for: Duration = 60.0
    """How long to go on trying while it does not answer."""


class GatePlan(Model):
    """Which policies must be passed, and when."""

    before: tuple[Name, ...] = ("preflight",)
    """Before anything is deployed."""
    idle: tuple[Name, ...] = ()
    """Before the switch, about the new version where it has no traffic yet, such as the policy `smoke`."""
    after: Name = "post-switch"
    """After the switch."""


class DeployConfig(Model):
    """What every deploy tool must know."""

    service: Name
    """The service's name in healthd's configuration."""
    healthd: Daemon = Daemon()
    """Where healthd is, and as whom to ask."""
    gates: GatePlan = GatePlan()
    """Which policies must be passed, and when."""
    lock: Duration = Field(300.0, ge=15)
    """How long the deploy lock outlives a deploy tool that was killed; while it runs, it prolongs it."""
    rollback_patience: Span = 30.0
    """After a fail: how long healthd's own actions have to put the traffic back, before the tool does it itself."""
    undo_within: Span = 600.0
    """For how long the tool goes on trying to undo a step while the platform does not answer."""

    def problem_with(self, version: str) -> str | None:
        """Why a version could never be deployed as this says; None when nothing speaks against it."""
        return None
