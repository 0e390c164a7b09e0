"""Common settings of every deploy tool. A platform's further settings are in its own folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from healthd.config.model import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape

Url = Annotated[
    str, StringConstraints(pattern=shape(r"^https?://\S+$", "an address that begins with http:// or https://"))
]


class Daemon(Model):
    """Address of healthd and the token for its API."""

    url: Url = "http://127.0.0.1:8080"
    """Address of the daemon."""
    token: SecretStr | None = None
    """Bearer token with the scopes gates:read and gates:verify."""
    retry_for: Duration = 60.0
    """Time for retries while the daemon does not answer, and for which a gate may wait for the daemon's journal."""


class GatePlan(Model):
    """Policies that must pass, and when."""

    before: tuple[Name, ...] = ("preflight",)
    """Policies before anything is deployed."""
    idle: tuple[Name, ...] = ()
    """Policies before the switch, about the new version without traffic, such as `smoke`."""
    after: Name = "post-switch"
    """Policy after the switch."""


class BlueGreenPlan(GatePlan):
    """Policies that must pass, and when."""

    ramp: Name | None = None
    """Policy with a `ramp`, for the strategy `ramp`: it takes the place of `after`, except for a version that
    has the traffic already."""


class DeployConfig(Model):
    """Options of every deploy tool."""

    service: Name
    """Name of the service in healthd's configuration."""
    healthd: Daemon = Daemon()
    """Address of healthd and the token for its API."""
    gates: GatePlan = GatePlan()
    """Policies that must pass, and when."""
    lock: Duration = Field(300.0, ge=15)
    """Time for which the deploy lock stays after a deploy tool was killed; a running tool prolongs it."""
    rollback_patience: Span = 30.0
    """Time after a fail for healthd's own rollback actions, before the tool rolls back itself."""
    undo_within: Span = 600.0
    """Time for retries of an undo step while the platform does not answer, and after them of telling the daemon."""

    @property
    def addresses(self) -> Mapping[str, Collection[str]]:
        """The addresses between which the traffic is switched, by target: none where the file does not have them."""
        return {}

    def problem_with(self, version: str) -> str | None:
        """Return why a version can never be deployed with these settings; None when nothing prevents it."""
        return None


class BlueGreenOptions(DeployConfig):
    """Options of every blue-green deploy whose traffic healthd can move."""

    gates: BlueGreenPlan = BlueGreenPlan()
    """Policies that must pass, and when."""
    strategy: Literal["switch", "ramp"] = "switch"
    """`switch` gives the new version all the traffic at once; with `ramp` healthd widens it by the policy
    `gates.ramp`."""
