"""The specification of a gate: its policy as it was at the start, and its service as it is now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from healthd_gates.config.observed import ReadSource, sources_of, target_of
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.request import Version
from healthd_gates.judge.rules import Rules
from healthd_gates.sources.contract import Arm, Arms


@dataclass(frozen=True, slots=True)
class GateSpec:
    """A gate's policy and service. `service` is None once the configuration has none of that name.

    `name` is the policy's. `without_secrets` is True if the policy came from the journal, which keeps no secrets, and
    the configuration no longer has the same one.
    """

    policy: Policy
    service: Service | None
    without_secrets: bool = False
    name: str = ""

    @property
    def follows_switch(self) -> bool:
        """True if it judges a version that has been given traffic: by its criteria, or because it is the service's own
        policy.

        A preflight and a smoke test run earlier: there is nothing to promote or to roll back yet, and the version that
        has the traffic is still watched.
        """
        return self.policy.reads_traffic or (self.service is not None and self.name == self.service.policy)

    def actions(self, occasion: Occasion) -> tuple[str, ...]:
        """Return the names of the actions for an occasion: the policy's, or else the service's, unless nothing was
        switched yet."""
        if self.policy.observes and occasion is not Occasion.PERSON:
            return ()
        service = self.service if self.follows_switch else None
        match occasion:
            case Occasion.PASS:
                own, shared = self.policy.on_pass, service.on_pass if service else ()
            case Occasion.INCONCLUSIVE:
                own, shared = self.policy.on_inconclusive, service.on_inconclusive if service else ()
            case _:
                own, shared = self.policy.on_fail, service.on_fail if service else ()
        return tuple(dict.fromkeys(shared if own is None else own))

    def actions_on_loss(self) -> tuple[str, ...]:
        """Return the names of the actions for a candidate that has fallen silent: a dead version must not keep the
        traffic, so they are those of a fail unless the configuration says otherwise.
        """
        if self.policy.on_loss is not None and not self.policy.observes:
            return tuple(dict.fromkeys(self.policy.on_loss))
        return self.actions(Occasion.INCONCLUSIVE) or self.actions(Occasion.FAIL)

    @property
    def ramp_actions(self) -> tuple[str, ...]:
        """The names of the actions that set the candidate's weight."""
        shared = self.service.on_ramp if self.service else ()
        return tuple(dict.fromkeys(shared if self.policy.on_ramp is None else self.policy.on_ramp))

    def way_back(self, names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, float]]:
        """Return the actions of a rollback with those that set the weight before them, and the weight of these: 0."""
        back = self.ramp_actions if self.policy.ramp is not None else ()
        return tuple(dict.fromkeys((*back, *names))), dict.fromkeys(back, 0.0)

    def rollback_window(self, requested: float | None) -> float | None:
        """Return for how many seconds after the verdict there is something to roll back to; None for no limit."""
        if requested is not None:
            return requested
        return self.service.rollback_window if self.service else None

    @property
    def verdict_rules(self) -> Rules:
        """The judge's rules for the verdict."""
        source = self.service.traffic_source if self.service else None
        whole = self.policy.exposure == "all" and source is not None and source.sees_traffic
        return replace(self._paced(self.policy.verdict_rules()), whole=whole)

    @property
    def watch_rules(self) -> Rules:
        """The judge's rules for the watch."""
        return self._paced(self.policy.watch_rules())

    def _paced(self, rules: Rules) -> Rules:
        """Set how late numbers may come, which depends on the source: CloudWatch's are minutes late."""
        if self.service is None or (source := self.service.traffic_source) is None:
            return rules
        own = [(each.stream, self.service.source_of(each)) for each in self.policy.criteria]
        late = {stream: read.lateness for stream, read in own if stream is not None and read is not None}
        return replace(rules, timing=replace(rules.timing, lateness=source.lateness), lateness=late)

    @property
    def sources(self) -> tuple[ReadSource, ...]:
        """The sources that the criteria read, each once; the service's first one is the first."""
        return sources_of(self.policy, self.service) if self.service else ()

    @property
    def reads_journal(self) -> bool:
        """True if a source has its numbers from the journal: nothing new is seen while that is away."""
        return any(source.config.reads_journal for source in self.sources)

    @property
    def edges(self) -> tuple[float, ...]:
        """The latencies in seconds at which the policy has limits."""
        return tuple(sorted({limit for criterion in self.policy.criteria for limit in criterion.latency_limits}))


def policy_body(policy: Policy) -> str:
    """Return a policy as JSON for the journal; secrets are masked."""
    unknown = {"allowance"} if policy.allowance is None else None  # to an earlier release, which would refuse the gate
    return policy.model_dump_json(by_alias=True, exclude=unknown)


def load_spec(body: str, name: str, service: str, config: Config) -> GateSpec:
    """Load the specification of a gate that was started before: with its own policy, whatever the configuration says
    now."""
    current = config.policies.get(name)
    policy = Policy.model_validate(json.loads(body))
    # Not as text: a release that has more options writes them too.
    if current is not None and policy_body(current) == policy_body(policy):
        return GateSpec(current, config.services.get(service), name=name)
    masked = any(criterion.has_secrets for criterion in policy.criteria)
    return GateSpec(policy, config.services.get(service), without_secrets=masked, name=name)


def action_arms(gate_service: str, service: Service | None, candidate: Version, baseline: Version | None) -> Arms:
    """Return the arms that an action is about. It needs no addresses, so that it works if the configuration no longer
    has them."""

    def arm(version: Version) -> Arm:
        target = target_of(service, version) if service else version.target
        return Arm(version.version, version.labels, target)

    places = tuple(service.targets) if service else ()
    return Arms(gate_service, arm(candidate), arm(baseline) if baseline else None, places)
