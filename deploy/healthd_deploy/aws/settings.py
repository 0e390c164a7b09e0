"""Settings of a deploy on AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.aws.region import check_region
from healthd.config.model import Model, Name
from healthd.extras import how_to_get
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_deploy.core.settings import BlueGreenOptions, DeployConfig, GatePlan

_SHELLS = ("AWS-RunShellScript", "AWS-RunPowerShellScript")
_SHORTEST_TO_START = 30  # seconds; minimum of the API


def _arn(kind: str, shown: str, told: str = "") -> StringConstraints:
    return StringConstraints(
        pattern=shape(
            rf"^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{{12}}:{kind}/{shown}\S+$",
            f"the ARN of a {told or kind}",
        )
    )


GroupArn = Annotated[str, _arn("targetgroup", "")]
# Used in shell commands and in tags, which allow fewer characters than versions may have elsewhere.
VersionName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[A-Za-z0-9](?:[./]?[A-Za-z0-9_+:@-])*$",
            "one word of letters, digits and . / _ + : @ - such as 1.4.2, without spaces",
        ),
        max_length=128,
    ),
]
InstanceId = Annotated[
    str, StringConstraints(pattern=shape(r"^i-[0-9a-f]{8,17}$", "the id of an instance, such as i-0abc1234"))
]


class Aws(Model):
    """Options of AWS calls. Credentials are the SDK's own: environment, profile, role."""

    region: str | None = Field(None, pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """Region; by default that of the ARNs."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """Address of the APIs, if not their public addresses."""
    retries: Literal["standard", "adaptive"] = "standard"
    """Retry mode of the SDK; adaptive also slows down after it was throttled."""
    attempts: int = Field(8, ge=1, le=20)
    """Maximum number of attempts of a call."""
    timeout: Duration = 20.0
    """Timeout of one attempt."""

    @model_validator(mode="after")
    def _region_is_one(self) -> Self:
        check_region(self.region, self.endpoint)
        return self


class Wait(Model):
    """Timeout of a wait, and the interval of its polls."""

    within: Duration = 300.0
    """Timeout after which the wait fails."""
    interval: Duration = 10.0
    """Time between two polls."""


class Command(Model):
    """Command that Systems Manager runs on the instances. Running it twice must do no harm."""

    commands: tuple[str, ...] = ()
    """Lines of a shell script; $version and $target are replaced."""
    document: str = Field("AWS-RunShellScript", pattern=shape(r"^[a-zA-Z0-9_.:/-]{3,256}$", "the name of a document"))
    """Name or ARN of the document."""
    parameters: dict[str, tuple[str, ...]] = Field({})
    """Parameters of the document; $version and $target are replaced."""
    timeout: Duration = 600.0
    """Timeout of the command on each instance."""
    start_within: Duration = Field(60.0, ge=_SHORTEST_TO_START)
    """Timeout for an instance to start the command: one without a working agent never does."""
    interval: Duration = 3.0
    """Time between two polls of its status."""

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.commands and self.document not in _SHELLS:
            raise ValueError(f"commands are for {' and '.join(_SHELLS)}: give {self.document} its parameters")
        if self.document in _SHELLS and not (self.commands or self.parameters.get("commands")):
            raise ValueError("commands are missing: what is to be run on the instances")
        return self

    def filled(self, values: Mapping[str, str]) -> dict[str, list[str]]:
        """Return the parameters to send. `values` must be safe for a shell."""
        raw = dict(self.parameters)
        if self.commands:
            raw["commands"] = self.commands
        if self.document in _SHELLS:
            raw.setdefault("executionTimeout", (str(max(1, round(self.timeout))),))
        return {name: [_fill(text, values) for text in texts] for name, texts in raw.items()}


def _fill(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(version|target)\b", lambda found: values.get(found[1], found[0]), text)


class AwsConfig(DeployConfig):
    """Options of both tools."""

    aws: Aws = Aws()
    """Options of AWS calls."""
    release: Command
    """Command that installs a version on an instance without traffic, and succeeds when it is started."""
    ready: Command | None = None
    """Command after the release that succeeds when the instance may receive traffic."""
    healthy: Wait = Wait()
    """Wait for the load balancer to report targets as healthy."""

    @model_validator(mode="after")
    def _sdk_is_there(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError(f"deploys on AWS need its SDK: {how_to_get('aws')}")
        return self


class BlueGreenConfig(BlueGreenOptions, AwsConfig):
    """Options of `healthd-deploy aws blue-green`"""

    listener: Annotated[str, _arn("listener", "")] | None = None
    """ARN of the listener whose default action is switched."""
    rule: Annotated[str, _arn("listener-rule", "")] | None = None
    """ARN of a rule that is switched, instead of a listener."""
    also: tuple[Annotated[str, _arn("listener(-rule)?", "", "listener or listener-rule")], ...] = ()
    """ARNs of more listeners and rules that forward to the same target groups, and are switched together with it."""
    target_groups: dict[Name, GroupArn] = Field(min_length=2, max_length=2)
    """Two targets, named as in healthd's configuration, and the ARN of each one's target group."""
    instances: dict[Name, Annotated[tuple[InstanceId, ...], Field(min_length=1)]] = Field({})
    """Instances of a target; by default those that are registered with its group."""
    put_back: bool = False
    """True to release the previous version to the idle target again if the deploy fails; by default the version that
    failed stays there, without traffic."""
    retire: Command | None = None
    """Command that cleans up the instances that no longer have traffic."""
    deregister: bool = False
    """True to also remove the retired instances from their target group; `instances` then says which ones to register
    again."""
    retire_after: Span | None = None
    """Time from the pass to the retirement; without it, the instances stay unchanged until the next deploy."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.listener is None) == (self.rule is None):
            raise ValueError("give either listener or rule: the place that forwards")
        if len(set(self.target_groups.values())) < len(self.target_groups):
            raise ValueError("target_groups: both have the same ARN; each target needs a group of its own")
        if strangers := set(self.instances) - set(self.target_groups):
            raise ValueError(f"instances: {', '.join(sorted(strangers))} is not one of target_groups")
        if self.deregister and set(self.instances) != set(self.target_groups):
            raise ValueError("deregister needs instances for both targets: the next deploy would find none")
        if self.retire_after is None and (self.retire is not None or self.deregister):
            raise ValueError("retire_after is missing: say how long after the pass to retire")
        return self

    @property
    def places(self) -> tuple[str, ...]:
        """ARNs of the listeners and rules that forward."""
        return (self.listener or self.rule or "", *self.also)


class RollingPlan(GatePlan):
    """Policies that must pass, and when."""

    after: Name = "batch"
    """Policy after each batch."""
    last: Name | None = None
    """Policy after the last batch instead, where `after` compares with the version before: no instance has that any
    more."""

    @model_validator(mode="after")
    def _nothing_is_idle(self) -> Self:
        if self.idle:
            raise ValueError("idle: a rolling deploy has no target without traffic; use `ready` and `after`")
        return self


class RollingConfig(AwsConfig):
    """Options of `healthd-deploy aws rolling`"""

    target_group: GroupArn
    """Target group whose instances get the version."""
    target: Name | None = None
    """Target in healthd's configuration, where the service has several. The source distinguishes versions."""
    previous: VersionName | None = None
    """Version of instances for which none is recorded yet: for the first deploy."""
    gates: RollingPlan = RollingPlan()
    batch: int = Field(1, ge=1)
    """Number of instances that are taken out at a time."""
    minimum_healthy: int = Field(1, ge=0)
    """Minimum number of other healthy instances before any are taken out, during a rollback too."""
    drain: Wait = Wait(within=600.0)
    """Wait for the requests in progress at an instance that is taken out; longer than the group's deregistration
    delay."""
    on_fail: Literal["batch", "all"] = "batch"
    """Batches that get the version before again: the one that failed, or the earlier ones too."""
