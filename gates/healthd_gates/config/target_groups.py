"""Target groups that a deploy tool swaps at every deployment: the tool alone knows which one has the new version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.domain.request import Version

if TYPE_CHECKING:  # they import this module to refuse what it finds
    from healthd_gates.config.policy import Policy
    from healthd_gates.config.service import Service
    from healthd_gates.config.settings import Config

Groups = Mapping[str, str]
"""The target group of each target, as `targetgroup/name/id`."""


def groups_read(service: Service, policy: Policy) -> Groups:
    """Return the target groups whose numbers the policy reads; none if its sources tell versions apart by themselves.
    Of several such sources it is the first one's: the others are of the same targets."""
    read = (service.source_of(criterion) for criterion in policy.criteria if criterion.reads_traffic)
    return next((source.target_groups_read for source in read if source is not None and source.target_groups_read), {})


def groups_asked_for(config: Config, service: str, policy: str | None) -> Groups:
    """Return the target groups whose numbers a gate of a service would read; none if there is no such gate."""
    known = config.services.get(service)
    asked = config.policies.get(policy or known.policy) if known is not None else None
    return groups_read(known, asked) if known is not None and asked is not None else {}


def check_swapped(hook: HookConfig, deploys: Deploys, groups: Groups) -> None:
    """Check that a deploy leaves its targets to the tool, which swaps the groups. Raises ValueError."""
    swaps = f"{hook.kind} swaps the target groups of both versions at every deployment"
    if deploys.target is not None or (deploys.baseline is not None and deploys.baseline.target is not None):
        raise ValueError(
            f"names {deploys.service} with a target, and {swaps}: leave target out, and healthd asks AWS each time"
        )
    if deploys.baseline is not None and len(groups) != 2:
        raise ValueError(
            f"names {deploys.service} with a baseline, and {swaps}: its source has {len(groups)} target_groups, "
            "and the baseline's is known where there are two"
        )


def at_the_other(groups: Groups, target: str, baseline: Version | None) -> Version | None:
    """Return the baseline with the target that does not have the new version."""
    if baseline is None:
        return None
    (other,) = groups.keys() - {target}
    return baseline.model_copy(update={"target": other})
