"""The options of the hook for Flagger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from healthd.config.model import Name
from healthd.units import Duration, Ratio
from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.config.hooks.object_name import ObjectName


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
    step_weight: Annotated[Ratio, Field(gt=0, le=0.5)] | None = None
    """The `stepWeight` of the canary's analysis, which Flagger does not send: under a policy with an allowance
    `confirm-traffic-increase` waits until the next step is allowed; without it only while the canary has more than is
    allowed."""
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
    canaries: dict[ObjectName, Canary] = Field(min_length=1)
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
