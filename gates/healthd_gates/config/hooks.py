"""The options of every kind of hook: what may start a gate, and which gate. The protocol of each tool is in its
dialect, in `hooks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from healthd.aws.region import check_region
from healthd.config.model import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_gates.domain.request import Deployment, LabelName, LabelValue, VerifyRequest, Version


class Deploys(Model):
    """The gate for one thing that the tool deploys. The tool itself only names the version."""

    service: Name
    """The service, under `services`."""
    policy: Name | None = None
    """The policy; the service's own unless given."""
    target: Name | None = None
    """The target of the service on which the new version runs, if there are several."""
    labels: dict[LabelName, LabelValue] = Field({}, max_length=16)
    """Labels by which the source selects the new version's numbers."""
    baseline: Version | None = None
    """The version that runs beside it, for a policy that compares the two."""
    rollback: Literal["auto", "off"] = "off"
    """`auto` if healthd's own actions roll back as well; the tool does so by itself."""

    def request(self, version: str, deployment: str, caller: str) -> VerifyRequest:
        """Return the request for a gate. Raises ValueError for an invalid version, or for the baseline's."""
        return VerifyRequest(
            service=self.service,
            policy=self.policy,
            candidate=Version(version=version, target=self.target, labels=self.labels),
            baseline=self.baseline,
            deployment=Deployment(id=deployment, actor=caller),
            rollback=self.rollback,
        )


class HookConfig(Model):
    """The options of every kind of hook."""

    kind: str
    """The kind of hook."""

    def deploys(self) -> Iterable[Deploys]:
        """Yield every deploy that the hook may start a gate for; the configuration checks that its names exist."""
        return ()

    def policies(self) -> Iterable[str]:
        """Yield the policies that the hook names for a preflight."""
        return ()

    def entries(self) -> Iterable[tuple[tuple[str | int, ...], Deploys]]:
        """Yield every deploy with the key of its options."""
        keys: dict[int, tuple[str | int, ...]] = {}
        for key, options in _below(self):
            keys.setdefault(id(options), key)
        return [(keys.get(id(deploys), ()), deploys) for deploys in self.deploys()]

    @property
    def alternates(self) -> bool:
        """True if the tool swaps the target groups of both versions at every deployment, so that healthd asks AWS which
        one has the new version."""
        return False

    @property
    def vacates(self) -> bool:
        """True if the tool takes the version off the observed target or labels when it promotes it, and gives them to
        the next one before it asks about that."""
        return False

    @property
    def stops_asking(self) -> bool:
        """True if the tool asks nothing more after a pass, though its rollout goes on."""
        return False


def _below(options: object) -> Iterator[tuple[tuple[str | int, ...], Deploys]]:
    """Yield every deploy below some options with its key there, in order."""
    if isinstance(options, Deploys):
        yield (), options
        return
    below: Iterable[tuple[str | int, object]] = ()
    if isinstance(options, dict):
        below = options.items()
    elif isinstance(options, BaseModel):
        below = options
    elif isinstance(options, list | tuple):
        below = enumerate(options)
    for name, each in below:
        yield from (((name, *key), deploys) for key, deploys in _below(each))


_KUBERNETES_NAME = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"


RolloutName = Annotated[
    str,
    StringConstraints(
        pattern=shape(rf"^{_KUBERNETES_NAME}/{_KUBERNETES_NAME}$", "a namespace, a slash and a name, such as shop/api")
    ),
]


class ArgoRolloutsConfig(HookConfig):
    """Answers the web metrics of Argo Rollouts."""

    kind: Literal["argo_rollouts"]
    rollouts: dict[RolloutName, Deploys] = Field(min_length=1)
    """The rollouts that may call, as namespace/name."""

    def deploys(self) -> Iterable[Deploys]:
        return self.rollouts.values()

    @property
    def vacates(self) -> bool:
        return True

    @property
    def stops_asking(self) -> bool:
        return True


class CodeDeployConfig(HookConfig):
    """Answers the lifecycle event hooks of CodeDeploy deployments."""

    kind: Literal["codedeploy"]
    services: dict[Name, Deploys] = Field(min_length=1)
    """The deploys, by the last part of the address that the Lambda calls; the version is the deployment's id."""
    region: str | None = None
    """The region of CodeDeploy; that of the environment unless given."""
    endpoint: str | None = None
    """Another address of CodeDeploy, such as that of a VPC endpoint."""
    wait_timeout: Span = 1800.0
    """Time that a gate may wait to start, also for what CodeDeploy is asked, before the hook fails."""
    retry_for: Duration = 86400.0
    """Time for which an answer is retried, counted from the verdict."""

    @model_validator(mode="after")
    def _region_is_one(self) -> Self:
        check_region(self.region, self.endpoint)
        return self

    def deploys(self) -> Iterable[Deploys]:
        return self.services.values()

    @property
    def alternates(self) -> bool:
        return True


ServiceInEnvironment = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[^\s/][^\s]{0,199}$", "a service, or a service, a slash and an environment")),
]


class DatadogConfig(HookConfig):
    """Answers the requests of Datadog's deployment gates."""

    kind: Literal["datadog"]
    gates: dict[ServiceInEnvironment, Deploys] = Field(min_length=1)
    """The deploys, as service/env: `--service` and `--env` of datadog-ci."""

    def deploys(self) -> Iterable[Deploys]:
        return self.gates.values()


_ECS_PART = r"[A-Za-z0-9_-]{1,255}"


EcsService = Annotated[
    str, StringConstraints(pattern=shape(rf"^{_ECS_PART}/{_ECS_PART}$", "a cluster, a slash and a service"))
]


class Stage(StrEnum):
    """The stages of a deployment at which ECS calls hooks."""

    RECONCILE_SERVICE = "RECONCILE_SERVICE"
    PRE_SCALE_UP = "PRE_SCALE_UP"
    POST_SCALE_UP = "POST_SCALE_UP"
    TEST_TRAFFIC_SHIFT = "TEST_TRAFFIC_SHIFT"
    POST_TEST_TRAFFIC_SHIFT = "POST_TEST_TRAFFIC_SHIFT"
    PRE_PRODUCTION_TRAFFIC_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
    PRODUCTION_TRAFFIC_SHIFT = "PRODUCTION_TRAFFIC_SHIFT"
    POST_PRODUCTION_TRAFFIC_SHIFT = "POST_PRODUCTION_TRAFFIC_SHIFT"


class EcsConfig(HookConfig):
    """Answers the lifecycle hooks of ECS services."""

    kind: Literal["ecs"]
    services: dict[EcsService, dict[Stage, Deploys]] = Field(min_length=1)
    """The ECS services that may call, as cluster/service, and the gate of each stage at which they do."""
    region: str | None = None
    """The region of ECS, which is asked for the new version's target group; that of the event unless given."""
    endpoint: str | None = None
    """Another address of ECS, such as that of a VPC endpoint."""

    @model_validator(mode="after")
    def _region_is_one(self) -> Self:
        check_region(self.region, self.endpoint)
        return self

    def deploys(self) -> Iterable[Deploys]:
        return (deploys for stages in self.services.values() for deploys in stages.values())

    @property
    def alternates(self) -> bool:
        return True


CanaryName = Annotated[
    str,
    StringConstraints(
        pattern=shape(rf"^{_KUBERNETES_NAME}/{_KUBERNETES_NAME}$", "a namespace, a slash and a name, such as shop/api")
    ),
]


class Canary(Deploys):
    """The gates of one canary."""

    interval: Duration | None = None
    """The interval of the canary's analysis, which tells a canary that is gone from one that asks seldom: learned from
    its calls unless given. Give it above 15 minutes, or the gate of the first tick is over before the second."""
    preflight: Name | None = None
    """The policy that decides at `confirm-rollout`, before anything is deployed."""
    steps: Literal["unless_harm", "after_pass"] = "unless_harm"
    """Condition on which `confirm-traffic-increase` lets Flagger shift more traffic: as long as there is no evidence
    against the version, or only after the pass, where the canary gets requests without weight, as from a load test or a
    mirror."""
    after_promotion: Name | None = None
    """The policy of a gate that starts when Flagger has promoted the version: it observes the version at the primary,
    by the target and labels of `baseline`, and compares with no other version."""

    @model_validator(mode="after")
    def _primary_is_known(self) -> Self:
        told = self.baseline is not None and (self.baseline.target or self.baseline.labels)
        if self.after_promotion is not None and not told:
            raise ValueError("after_promotion looks at the primary: give baseline the target or labels of its pods")
        return self

    def promoted(self) -> Deploys:
        """Return the gate for the time when the primary runs the version. The canary's own pods are gone by then."""
        assert self.baseline is not None
        changes = {"policy": self.after_promotion, "target": self.baseline.target, "labels": self.baseline.labels}
        return self.model_copy(update={**changes, "baseline": None})


class FlaggerConfig(HookConfig):
    """Answers the webhooks of Flagger's canaries."""

    kind: Literal["flagger"]
    canaries: dict[CanaryName, Canary] = Field(min_length=1)
    """The canaries that may call, as namespace/name."""

    def deploys(self) -> Iterable[Deploys]:
        for canary in self.canaries.values():
            yield canary
            if canary.after_promotion is not None:
                yield canary.promoted()

    @property
    def vacates(self) -> bool:
        return True

    def policies(self) -> Iterable[str]:
        return (canary.preflight for canary in self.canaries.values() if canary.preflight)

    def entries(self) -> Iterable[tuple[tuple[str | int, ...], Deploys]]:
        for name, canary in self.canaries.items():
            yield ("canaries", name), canary
            if canary.preflight:
                yield ("canaries", name), canary.model_copy(update={"policy": canary.preflight})
            if canary.after_promotion is not None:
                yield ("canaries", name, "baseline"), canary.promoted()


class SpinnakerConfig(HookConfig):
    """Answers Spinnaker's webhook stages."""

    kind: Literal["spinnaker"]
    stages: dict[Name, Deploys] = Field(min_length=1)
    """The stages that may call, by the name in their payload."""

    def deploys(self) -> Iterable[Deploys]:
        return self.stages.values()
