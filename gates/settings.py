"""The gate's part of the configuration: services, policies, actions, freezes and how gates are kept."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, StringConstraints, model_validator

from gates import actions
from gates.actions.contract import ActionConfig
from gates.criteria import Checks
from gates.freeze import Freeze
from gates.policy import Policy
from gates.shipped import SHIPPED
from gates.sources import AnySource
from healthd.settings import Model, Name, Settings
from healthd.units import Duration


def _build_action(raw: Any) -> ActionConfig:
    """One entry of `actions:` as the model of its kind."""
    if isinstance(raw, ActionConfig):
        return raw
    kinds = ", ".join(sorted(actions.KINDS)) or "none yet"
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        raise ValueError(f"an action needs a kind, one of: {kinds}")
    try:
        return actions.find_kind(raw["kind"]).config_model.model_validate(raw)
    except actions.UnknownKindError:
        raise ValueError(f"no kind of action is called {raw['kind']!r}; there are: {kinds}") from None
    except ImportError as error:
        raise ValueError(f"kind {raw['kind']!r} needs a package that is not installed: {error.name}") from None


def _with_shipped(raw: Any) -> Any:
    """The shipped policies, and the file's: one of a shipped name changes only what it mentions."""
    if not isinstance(raw, dict):
        return raw
    own = {
        name: {**SHIPPED.get(name, {}), **policy} if isinstance(policy, dict) else policy
        for name, policy in raw.items()
    }
    return {**SHIPPED, **own}


def _no_trailing_slash(url: str) -> str:
    return url.rstrip("/")


AnyAction = Annotated[SerializeAsAny[ActionConfig], BeforeValidator(_build_action)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s?#]*$"), AfterValidator(_no_trailing_slash)]


class Service(Model):
    """A thing that is deployed."""

    targets: dict[Name, Url | tuple[Url, ...]] = Field(default_factory=dict)
    """Base addresses by the name of the place, such as blue and green; several where there are several instances."""
    source: AnySource | None = None
    """Where its traffic numbers come from."""
    policy: Name = "post-switch"
    """The policy of a gate that names none."""
    on_fail: tuple[Name, ...] = ()
    """Actions that put the traffic back, on a fail and on a late regression."""
    on_pass: tuple[Name, ...] = ()
    """Actions on a pass."""
    on_inconclusive: tuple[Name, ...] = ()
    """Actions when an inconclusive gate counts as failed; none unless given, for missing numbers are nobody's fault."""

    def addresses(self, target: str) -> tuple[str, ...]:
        """The base addresses of one target. Raises KeyError."""
        urls = self.targets[target]
        return (urls,) if isinstance(urls, str) else urls


class Keeping(Model):
    """How gates are kept."""

    enabled: bool = True
    """Whether there are gates at all."""
    lease: Duration = Field(10.0, ge=2, le=300)
    """How long a replica that fell silent still owns its gates."""
    keep_looks: Duration = Field(14 * 86400.0, ge=3600)
    """How long the single looks of a gate are kept after its end."""
    at_most: int = Field(2000, ge=1, le=100_000)
    """How many gates one replica runs at once."""


class GateSettings(Model):
    """The keys that the gate adds to the daemon's configuration."""

    services: dict[Name, Service] = Field(default_factory=dict)
    """What is deployed, by name."""
    policies: Annotated[dict[Name, Policy], BeforeValidator(_with_shipped)] = Field(
        default_factory=dict, validate_default=True
    )
    """Policies by name. One of a shipped name changes only what it mentions."""
    actions: dict[Name, AnyAction] = Field(default_factory=dict)
    """What a gate can do, by name."""
    freeze: tuple[Freeze, ...] = ()
    """Times in which no gate starts."""
    gates: Keeping = Keeping()
    """How gates are kept."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name, service in self.services.items():
            self._check_service(f"services.{name}", service)
        for name, policy in self.policies.items():
            for key in ("on_fail", "on_pass", "on_inconclusive"):
                self._check_actions(f"policies.{name}.{key}", getattr(policy, key) or ())
        for i, window in enumerate(self.freeze):
            for service_name in window.services:
                if service_name not in self.services:
                    raise ValueError(f"freeze.{i}.services names {service_name!r}, which is not under services")
        return self

    def _check_service(self, place: str, service: Service) -> None:
        if service.policy not in self.policies:
            known = ", ".join(sorted(self.policies))
            raise ValueError(f"{place}.policy is {service.policy!r}, which is not a policy; there are: {known}")
        policy = self.policies[service.policy]
        if policy.needs_source and service.source is None:
            raise ValueError(f"{place}.source is missing: policy {service.policy} looks at traffic")
        if policy.needs_target and not service.targets:
            raise ValueError(f"{place}.targets is missing: policy {service.policy} sends smoke requests")
        for key in ("on_fail", "on_pass", "on_inconclusive"):
            self._check_actions(f"{place}.{key}", getattr(service, key))

    def _check_actions(self, place: str, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.actions:
                raise ValueError(f"{place} names {name!r}, which is not under actions")


class Config(Settings, GateSettings):
    """The whole configuration: the daemon's and the gate's."""

    @model_validator(mode="after")
    def _criteria_name_checks(self) -> Self:
        for name, policy in self.policies.items():
            for criterion in policy.criteria:
                if not isinstance(criterion, Checks):
                    continue
                if criterion.group is not None and criterion.group not in self.active_groups:
                    raise ValueError(f"policies.{name}: group {criterion.group!r} is not under groups")
                for check in criterion.checks:
                    if check not in self.checks:
                        raise ValueError(f"policies.{name}: check {check!r} is not under checks")
        return self
