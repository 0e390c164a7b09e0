"""Finds what a hook's deploys lack: its tool sends no target and no labels, so that every call would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.config.observed import check_versions
from healthd_gates.config.target_groups import at_the_other, groups_read
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import ArmError

if TYPE_CHECKING:  # they import this module to refuse what it finds
    from healthd_gates.config.policy import Policy
    from healthd_gates.config.service import Service

_ANY_VERSION = "any.version"


def check_deploys(hook: HookConfig, policies: Mapping[str, Policy], services: Mapping[str, Service]) -> None:
    """Check that each deploy of a hook has the target and labels by which the sources find its versions. Raises
    ValidationError, with each key that is missing."""
    missing: dict[tuple[str | int, ...], InitErrorDetails] = {}
    for key, deploys in hook.entries():
        service = services.get(deploys.service)
        policy = policies.get(deploys.policy or service.policy) if service is not None else None
        if service is None or policy is None:  # they are in error themselves
            continue
        target, baseline = deploys.target, deploys.baseline
        if hook.alternates and target is None and (groups := groups_read(service, policy)):  # healthd asks for it
            target = next(iter(groups))
            baseline = at_the_other(groups, target, baseline)
        version = Version(version=_ANY_VERSION, target=target, labels=deploys.labels)
        try:
            check_versions(deploys.service, service, policy, version, baseline)
        except ArmError as error:
            place = (*key, *error.field.removeprefix("candidate.").split("."))
            context = {"error": ValueError(error.problem)}
            missing[place] = InitErrorDetails(type="value_error", loc=place, input=None, ctx=context)
    if missing:
        raise ValidationError.from_exception_data(type(hook).__name__, list(missing.values()))
