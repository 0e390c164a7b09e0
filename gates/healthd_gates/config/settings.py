"""The gate's part of the configuration: services, policies, actions, freezes and limits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
)

from healthd.checks.parsing import MISSING, check_what_is_set
from healthd.config.model import Model, Name
from healthd.config.notes import SHOWN_PASSWORD, labels_with_passwords, notes_on_callers, notes_on_labels
from healthd.config.sections import Defaults, Templates
from healthd.config.settings import Settings
from healthd.config.window import notes_on_times, nothing_covered
from healthd.registry import SchemaOfKinds
from healthd.units import Duration
from healthd_gates.actions import ACTIONS
from healthd_gates.actions.contract import ActionConfig
from healthd_gates.actions.misconfigured import MisconfiguredAction
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.references import KnownFreeze, KnownHook, KnownPolicy, KnownService, has_what_tokens_open
from healthd_gates.config.unmeasurable import unmeasurable, unwatched

LONGEST_LEASE = 300.0  # seconds; what ends later was written while a clock was ahead


def _build_action(raw: Any) -> ActionConfig:
    """Build the model of one entry of `actions:` by its kind."""
    if isinstance(raw, ActionConfig):
        return raw
    model: type[ActionConfig] = ACTIONS.model_of(raw)
    if not raw.get(MISSING):
        return model.model_validate(raw)
    check_what_is_set(raw, model)
    given = {key: value for key, value in raw.items() if key in ActionConfig.model_fields and value is not None}
    return MisconfiguredAction.model_validate({**given, "missing": tuple(raw[MISSING])})


def _with_shipped(raw: Any) -> Any:
    """Merge the built-in policies and those of the file: a policy of a built-in name changes only the fields that it
    mentions."""
    if not isinstance(raw, dict):
        return raw
    own = {
        name: _changed(SHIPPED[name], policy) if name in SHIPPED and isinstance(policy, dict) else policy
        for name, policy in raw.items()
    }
    return {**SHIPPED, **own}


def _changed(shipped: dict[str, Any], policy: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: {**value, **policy[key]}
        for key, value in shipped.items()
        if isinstance(value, dict) and isinstance(policy.get(key), dict)
    }
    return {**shipped, **policy, **inner}


AnyAction = Annotated[SerializeAsAny[ActionConfig], BeforeValidator(_build_action), SchemaOfKinds(ACTIONS)]


class GateLimits(Model):
    """Limits of gates and of how long they are kept."""

    enabled: bool = True
    """True if gates are enabled."""
    lease_duration: Duration = Field(10.0, ge=2, le=LONGEST_LEASE)
    """Time for which a replica that stopped renewing its lease still owns its gates."""
    keep_evaluations: Duration = Field(14 * 86400.0, ge=3600)
    """Time for which the single evaluations of a gate are kept after its end."""
    max_running: int = Field(2000, ge=1, le=100_000)
    """The largest number of gates that one replica runs at once."""


class AllDefaults(Defaults):
    """Defaults of checks, services, sources and policies. Those of an included file apply to its own entries."""

    services: dict[str, Any] = Field(default_factory=dict)
    """Options of all services."""
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of the sources of services, by kind of source."""
    policies: dict[str, Any] = Field(default_factory=dict)
    """Options of all policies in the files."""


class AllTemplates(Templates):
    """Options that entries share by naming a template."""

    services: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Templates of services by name."""
    policies: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Templates of policies by name."""


class Config(Settings):
    """The whole configuration: the daemon's and the gate's. A section comes after those that it refers to."""

    defaults: AllDefaults = AllDefaults()
    """Defaults of checks, services, sources and policies. Those of an included file apply to its own entries."""
    templates: AllTemplates = AllTemplates()
    """Options that entries share by naming a template."""
    actions: dict[Name, AnyAction] = Field(default_factory=dict)
    """The actions of gates, by name."""
    policies: Annotated[dict[Name, KnownPolicy], BeforeValidator(_with_shipped)] = Field(
        default_factory=dict, validate_default=True
    )
    """Policies by name. A policy of a built-in name changes only the fields that it mentions."""
    services: dict[Name, KnownService] = Field(default_factory=dict)
    """The services that are deployed, by name."""
    freeze: tuple[KnownFreeze, ...] = ()
    """Times in which no gate starts."""
    hooks: Annotated[dict[Name, KnownHook], AfterValidator(has_what_tokens_open)] = Field({}, validate_default=True)
    """Hooks of deploy tools that have a protocol of their own, by name. Without a hook no tool is answered."""
    gates: GateLimits = GateLimits()
    """Limits of gates and of how long they are kept."""

    @property
    def notes(self) -> list[str]:
        """Notes on the configuration, also on gates that could never pass."""
        notes = [*super().notes, *notes_on_callers(self.auth, "services", self.services), *unmeasurable(self)]
        notes += unwatched(self)
        notes += notes_on_times("freeze", self.freeze)
        labels = {name: service.labels for name, service in self.services.items()}
        notes += notes_on_labels(self, labels)
        for name, its in labels.items():
            notes += [f"services.{name}.labels.{label}: {SHOWN_PASSWORD}" for label in labels_with_passwords(its)]
        for number, window in enumerate(self.freeze):
            if not any(window.freezes(name, labels[name]) for name in labels):
                notes.append(f"freeze.{number}: {nothing_covered('service', window.services, window.labels, labels)}")
        return notes
