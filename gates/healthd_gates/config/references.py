"""Checks of the names by which policies, services, hooks, freezes and tokens refer to each other, and of whether what
is named fits."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ValidationInfo

from healthd.config.auth import Auth, Token
from healthd.config.identity import Identity
from healthd.nearest import did_you_mean, not_under
from healthd_gates.actions.contract import ActionConfig
from healthd_gates.config.freeze_window import Freeze
from healthd_gates.config.hooks.any_hook import AnyHook
from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.config.target_groups import check_swapped, groups_read
from healthd_gates.config.unanswerable import unanswerable
from healthd_gates.config.unsendable import check_deploys
from healthd_gates.criteria.contract import Configured


def _at_addresses_of_their_own(service: Service) -> Service:
    """Check that no address is that of two targets: both versions would be asked at one of them."""
    owners: dict[str, str] = {}
    for target in service.targets:
        for address in service.addresses(target):
            other = owners.setdefault(str(address), target)
            if other != target:
                raise ValueError(f"targets.{target} has an address of {other} too: each target needs its own")
    return service


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
                "take aws_elbv2, haproxy, traefik, kubernetes with a route or an ingress, a command with $weight "
                "among its words, or a webhook"
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
    if policy.allowance is not None and (source := service.traffic_source) is not None and not source.sees_traffic:
        blind = f"a {source.kind} source cannot see which version has how much of the traffic"
        raise ValueError(f"policy is {service.policy}, which has an allowance, and {blind}")
    if policy.needs_target and not service.targets:
        raise ValueError(f"targets is missing: policy {service.policy} sends smoke requests")
    return service


def _freezes_what_there_is(window: Freeze, info: ValidationInfo) -> Freeze:
    for name in window.services:
        if name not in (known := info.data.get("services", (name,))):
            raise ValueError(f"services names {not_under('services', name, known)}")
    return window


def has_what_tokens_open(hooks: dict[str, HookConfig], info: ValidationInfo) -> dict[str, HookConfig]:
    """Check that the hooks that tokens name are configured."""
    auth: Auth | None = info.data.get("auth")
    for caller in auth.grants if auth is not None else ():
        for name in caller.hooks or ():
            if name not in hooks:
                known = ", ".join(sorted(hooks)) or "none"
                what = {Token: "token", Identity: "identity"}.get(type(caller), "entry of people")
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
        if hook.alternates and (groups := groups_read(service, policy)):
            check_swapped(hook, deploys, groups)
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
