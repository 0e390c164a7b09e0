"""The gate's part of the configuration: services, policies, actions, freezes and limits."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializeAsAny,
    StringConstraints,
    ValidationInfo,
)

from healthd.checks.parsing import MISSING, check_what_is_set
from healthd.config.auth import Auth, Token
from healthd.config.settings import Defaults, Model, Name, Settings, Templates
from healthd.config.window import notes_on_times, nothing_covered
from healthd.labels import MOST_LABELS, Labels
from healthd.nearest import did_you_mean, not_under
from healthd.registry import SchemaOfKinds
from healthd.runtime.web_address import WebAddress
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_gates.actions import ACTIONS
from healthd_gates.actions.contract import ActionConfig
from healthd_gates.actions.misconfigured import MisconfiguredAction
from healthd_gates.config.any_hook import AnyHook
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.freeze_window import Freeze
from healthd_gates.config.hooks import HookConfig
from healthd_gates.config.policy import Policy
from healthd_gates.config.unanswerable import counts_by_place, unanswerable
from healthd_gates.config.unmeasurable import unmeasurable
from healthd_gates.config.unsendable import check_deploys
from healthd_gates.criteria.contract import Configured, CriterionConfig
from healthd_gates.sources import AnySource
from healthd_gates.sources.contract import SourceConfig

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


def _no_trailing_slash(url: str) -> str:
    url = url.rstrip("/")
    return WebAddress(url) if "@" in url else url


def _shown(url: str) -> str:
    return url.masked if isinstance(url, WebAddress) else url


AnyAction = Annotated[SerializeAsAny[ActionConfig], BeforeValidator(_build_action), SchemaOfKinds(ACTIONS)]
Url = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^https?://[^\s/?#]+[^\s?#]*$", "an address that begins with http:// or https://, without a query"
        )
    ),
    AfterValidator(_no_trailing_slash),
    PlainSerializer(_shown, when_used="json"),
]


class Service(Model):
    """A thing that is deployed."""

    targets: dict[Name, Url | tuple[Url, ...]] = Field(default_factory=dict)
    """Base addresses by the name of the place, such as blue and green; several if there are several instances."""
    source: AnySource | None = None
    """The source of its traffic numbers."""
    sources: dict[Name, AnySource] = Field(default_factory=dict)
    """Further sources by name, for criteria that name one. Without `source` the first of them has the traffic."""
    policy: Name = "post-switch"
    """The policy of a gate that names none."""
    on_fail: tuple[Name, ...] = ()
    """Actions that roll back, on a fail and on a late regression."""
    on_ramp: tuple[Name, ...] = ()
    """Actions that set the candidate's share of the traffic, for policies with a ramp."""
    on_pass: tuple[Name, ...] = ()
    """Actions on a pass."""
    on_inconclusive: tuple[Name, ...] = ()
    """Actions when an inconclusive gate counts as failed; none unless given, since missing numbers need not be the
    release's fault."""
    rollback_window: Span | None = None
    """Time after a verdict in which the baseline can still take the traffic; without a limit unless given."""
    labels: Labels = Field({}, max_length=MOST_LABELS)
    """Labels, such as `team: payments`: they stand in metrics and notifications, and routes can match them."""
    template: str | None = None
    """Name of a template under `templates.services` whose options apply where this entry has none."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Values for `${values.KEY}` in this entry and its template."""

    @property
    def traffic_source(self) -> SourceConfig | None:
        """The source of its traffic numbers."""
        return self.source or next(iter(self.sources.values()), None)

    def source_of(self, criterion: CriterionConfig) -> SourceConfig | None:
        """Return the source of a criterion's numbers, None if there is none of that name."""
        name = criterion.named_source
        return self.traffic_source if name is None else self.sources.get(name)

    def addresses(self, target: str) -> tuple[str, ...]:
        """Return the base addresses of one target. Raises KeyError."""
        urls = self.targets[target]
        return (urls,) if isinstance(urls, str) else urls


def _at_addresses_of_their_own(service: Service) -> Service:
    """Check that no address is that of two targets: both versions would be asked at one of them."""
    owners: dict[str, str] = {}
    for target in service.targets:
        for address in service.addresses(target):
            other = owners.setdefault(str(address), target)
            if other != target:
                raise ValueError(f"targets.{target} has an address of {other} too: each target needs its own")
    return service


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


def _needs_what_there_is(policy: Policy, info: ValidationInfo) -> Policy:
    """Check that the groups and checks that a policy names are configured. Says nothing while those are in error
    themselves."""
    groups = {*_BUILT_IN_GROUPS, *info.data["groups"]} if "groups" in info.data else None
    configured = Configured(checks=info.data.get("checks"), groups=groups)
    for number, criterion in enumerate(policy.criteria):
        try:
            criterion.check(configured)
        except ValueError as error:
            raise ValueError(f"criteria.{number}.{error}") from None
    return policy


def _orders_what_there_is(model: Ordering, info: ValidationInfo) -> Ordering:
    """Check that the actions that a policy or a service names are configured."""
    for key in ("on_fail", "on_ramp", "on_pass", "on_inconclusive", "on_loss"):
        for name in getattr(model, key, None) or ():
            if name not in (known := info.data.get("actions", (name,))):
                raise ValueError(f"{key} names {not_under('actions', name, known)}")
    actions: dict[str, ActionConfig] = info.data.get("actions", {})
    for name in model.on_ramp or ():
        if name in actions and not actions[name].sets_weight:
            raise ValueError(
                f"on_ramp names {name!r}, a {actions[name].kind} that cannot give the candidate a part of the traffic: "
                "take aws_elbv2, haproxy, kubernetes with a route or an ingress, a command with $weight among its "
                "words, or a webhook"
            )
        targets: dict[str, Any] = getattr(model, "targets", {})
        for target in actions[name].named_targets if name in actions and targets else ():
            if target not in targets:
                raise ValueError(f"on_ramp names {name!r}, which has {not_under('targets', target, targets)}")
    return model


def _suits_its_policy(service: Service, info: ValidationInfo) -> Service:
    """Check that the policy of a service exists, and everything that the policy needs of the service."""
    policies: dict[str, Policy] | None = info.data.get("policies")
    if policies is None:
        return service
    policy = policies.get(service.policy)
    if policy is None:
        known = ", ".join(sorted(policies))
        hint = did_you_mean(service.policy, policies)
        raise ValueError(f"policy is {service.policy!r}, which is not under policies; there are: {known}.{hint}")
    if policy.needs_source and service.traffic_source is None:
        raise ValueError(f"source is missing: policy {service.policy} looks at traffic")
    for problem in unanswerable(service, policy):
        raise ValueError(f"policy {service.policy}: {problem}")
    if policy.needs_source and (first := service.traffic_source) is not None and not first.counts_requests:
        raise ValueError(
            f"source of kind {first.kind} has no `requests` and `errors`, and without traffic a gate says nothing: "
            "name them, or put it under `sources`, beside a `source` that counts requests"
        )
    if policy.ramp is not None and not (service.on_ramp if policy.on_ramp is None else policy.on_ramp):
        raise ValueError(
            f"on_ramp is missing: policy {service.policy} has a ramp, and needs an action that sets a weight"
        )
    if policy.ramp is not None and (source := service.traffic_source) is not None and not source.sees_traffic:
        blind = f"a {source.kind} source cannot see which version has how much of the traffic"
        raise ValueError(f"policy is {service.policy}, which has a ramp, and {blind}")
    if policy.needs_target and not service.targets:
        raise ValueError(f"targets is missing: policy {service.policy} sends smoke requests")
    return service


def _freezes_what_there_is(window: Freeze, info: ValidationInfo) -> Freeze:
    for name in window.services:
        if name not in (known := info.data.get("services", (name,))):
            raise ValueError(f"services names {not_under('services', name, known)}")
    return window


def _has_what_tokens_open(hooks: dict[str, HookConfig], info: ValidationInfo) -> dict[str, HookConfig]:
    """Check that the hooks that tokens name are configured."""
    auth: Auth | None = info.data.get("auth")
    for caller in (*auth.tokens, *auth.identities) if auth is not None else ():
        for name in caller.hooks or ():
            if name not in hooks:
                known = ", ".join(sorted(hooks)) or "none"
                what = "token" if isinstance(caller, Token) else "identity"
                raise ValueError(f"the {what} {caller.name} opens {name!r}, which is not here; there are: {known}")
    return hooks


def _asks_about_what_there_is(hook: HookConfig, info: ValidationInfo) -> HookConfig:
    """Check that the services and policies that a hook names are configured."""
    named = [("services", deploys.service) for deploys in hook.deploys()]
    named += [("policies", deploys.policy) for deploys in hook.deploys() if deploys.policy]
    named += [("policies", policy) for policy in hook.policies()]
    for section, name in named:
        if name not in (known := info.data.get(section, (name,))):
            raise ValueError(f"names {not_under(section, name, known)}")
    policies: dict[str, Policy] = info.data.get("policies", {})
    for name in hook.policies():
        if name in policies and policies[name].quarantine:
            raise ValueError(f"names {name!r} for a preflight, before there is a version: give it quarantine: false")
    for deploys in hook.deploys():
        service: Service | None = info.data.get("services", {}).get(deploys.service)
        policy = policies.get(deploys.policy or service.policy) if service is not None else None
        if service is None or policy is None:
            continue
        if policy.needs_baseline and deploys.baseline is None:
            raise ValueError(
                f"names {deploys.service} without a baseline, and policy {deploys.policy or service.policy} compares "
                "with the version beside it: add baseline: {version: stable}, with its target or labels"
            )
        if policy.ramp is not None and deploys.rollback != "auto":
            raise ValueError(
                f"names {deploys.service} with rollback off, and policy {deploys.policy or service.policy} has a ramp, "
                "which takes the release back itself: add rollback: auto"
            )
        if hook.alternates and counts_by_place(service, policy):
            raise ValueError(
                f"names {deploys.service}, whose source counts by target group, and {hook.kind} swaps the groups of "
                "both versions at every deployment: such numbers are the old version's every second time. Take a "
                "source that tells versions apart (prometheus, scrape, push), or a probe of the test listener"
            )
    check_deploys(hook, policies, info.data.get("services", {}))
    return hook


_BUILT_IN_GROUPS = ("ready", "live", "startup", "preflight")
Ordering = TypeVar("Ordering", Policy, Service)
KnownPolicy = Annotated[Policy, AfterValidator(_needs_what_there_is), AfterValidator(_orders_what_there_is)]
KnownService = Annotated[
    Service,
    AfterValidator(_at_addresses_of_their_own),
    AfterValidator(_suits_its_policy),
    AfterValidator(_orders_what_there_is),
]
KnownHook = Annotated[AnyHook, AfterValidator(_asks_about_what_there_is)]
KnownFreeze = Annotated[Freeze, AfterValidator(_freezes_what_there_is)]


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
    hooks: Annotated[dict[Name, KnownHook], AfterValidator(_has_what_tokens_open)] = Field({}, validate_default=True)
    """Hooks of deploy tools that have a protocol of their own, by name. Without a hook no tool is answered."""
    gates: GateLimits = GateLimits()
    """Limits of gates and of how long they are kept."""

    @property
    def notes(self) -> list[str]:
        """Notes on the configuration, also on gates that could never pass."""
        notes = [*super().notes, *self.notes_on_callers("services", self.services), *unmeasurable(self)]
        notes += notes_on_times("freeze", self.freeze)
        labels = {name: service.labels for name, service in self.services.items()}
        for number, window in enumerate(self.freeze):
            if not any(window.freezes(name, labels[name]) for name in labels):
                notes.append(f"freeze.{number}: {nothing_covered('service', window.services, window.labels, labels)}")
        return notes
