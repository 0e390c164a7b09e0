"""Finds measurements that a policy needs and a service's source does not have: such a gate could never pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from healthd.nearest import ALMOST_THE_SAME, nearest
from healthd_gates.config.unanswerable import unanswerable, without_latency

if TYPE_CHECKING:  # it imports this module to report what it finds
    from healthd_gates.config.policy import Policy
    from healthd_gates.config.service import Service
    from healthd_gates.config.settings import Config

_PLACEHOLDER = re.compile(r"\$([a-zA-Z_][a-zA-Z0-9_]*)")


def unmeasurable(config: Config) -> Iterator[str]:
    """Yield a sentence for each service and policy that are used together and do not fit: the service's own, and a
    hook's."""
    for name, service in config.services.items():
        for source in (service.source, *service.sources.values()):
            for placeholder in sorted(set(_PLACEHOLDER.findall(repr(source.model_dump()) if source else ""))):
                meant = nearest(placeholder, ("version", "target"), ALMOST_THE_SAME)
                if meant not in (None, placeholder):
                    yield (
                        f"services.{name}: the source asks for ${placeholder}, which every gate must then give as a "
                        f"label; did you mean ${meant}?"
                    )
    asked = [(name, service.policy) for name, service in config.services.items()]
    asked += [(it.service, it.policy) for hook in config.hooks.values() for it in hook.deploys() if it.policy]
    for name, policy_name in dict.fromkeys(asked):
        source, policy = config.services[name].traffic_source, config.policies.get(policy_name)
        if policy is not None and policy_name != config.services[name].policy:
            for problem in unanswerable(config.services[name], policy):
                yield f"services.{name}: policy {policy_name}: {problem}"
        compares = policy is not None and policy.compares_traffic
        if compares and source is not None and (shared := source.shared_by_versions) is not None:
            yield (
                f"services.{name}: policy {policy_name} compares two versions, and nothing in the source's "
                f"`{shared}` tells them apart: use $version, $target or a label there"
            )
        if policy is not None and (lack := without_latency(config.services[name], policy)) is not None:
            yield f"services.{name}: policy {policy_name} {lack}"
        yield from _hidden(name, config.services[name], policy_name, policy)


def unwatched(config: Config) -> Iterator[str]:
    """Yield a sentence for each deploy of a hook whose watch is cut short: its tool stops asking at the pass, and the
    numbers are found by labels that it gives to the next version."""
    for hook_name, hook in config.hooks.items():
        for key, deploys in hook.entries() if hook.vacates and hook.stops_asking else ():
            service = config.services[deploys.service]
            policy = config.policies.get(deploys.policy or service.policy or "")
            if policy is not None and policy.watch and not service.follows_version:
                yield (
                    f"{'.'.join(('hooks', hook_name, *map(str, key)))}: the watch ends about a minute after the last "
                    "call, also in a pause of the rollout, since the source finds whatever has the labels: use "
                    f"$version in each selector of services.{deploys.service}, and it has its whole length"
                )


def _hidden(name: str, service: Service, policy_name: str, policy: Policy | None) -> Iterator[str]:
    """Yield the comparisons of latency that a source would hide by the latencies that it counts at, as far as the
    configuration says these."""
    criteria = policy.criteria if policy is not None else ()
    limits = [limit for criterion in criteria for limit in criterion.latency_limits]
    for criterion in criteria:
        source = service.source_of(criterion)
        edges = source.edges_under(limits) if source is not None else None
        if source is not None and edges is not None and (told := criterion.hidden_by(edges or (inf,))) is not None:
            yield f"services.{name}: policy {policy_name}: {told}: {source.more_edges}"
