"""What a deploy on AWS needs to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.config.settings import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_deploy.core.settings import DeployConfig, GatePlan

_SHELLS = ("AWS-RunShellScript", "AWS-RunPowerShellScript")
_SHORTEST_TO_START = 30  # seconds, as the API has it


def _arn(kind: str, shown: str) -> StringConstraints:
    return StringConstraints(
        pattern=shape(
            rf"^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{{12}}:{kind}/{shown}\S+$", f"the ARN of a {kind}"
        )
    )


GroupArn = Annotated[str, _arn("targetgroup", "")]
# Goes into shell commands and into tags, which know fewer characters than versions may have elsewhere.
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
    """How AWS is asked. Credentials are the SDK's own: environment, profile, role."""

    region: str | None = Field(None, pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """The one of the ARNs, unless given."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """Where the APIs answer, if not at their public addresses."""
    retries: Literal["standard", "adaptive"] = "standard"
    """How the SDK tries again; adaptive also slows down after it was throttled."""
    attempts: int = Field(8, ge=1, le=20)
    """How often a call is tried in all."""
    timeout: Duration = 20.0
    """How long one try may take."""


class Wait(Model):
    """How long something is waited for, and how often it is looked at."""

    within: Duration = 300.0
    """It fails after so long."""
    interval: Duration = 10.0
    """Time between two looks."""


class Command(Model):
    """What Systems Manager runs on the instances. Done twice it must do no harm."""

    commands: tuple[str, ...] = ()
    """Lines of a shell script; $version and $target are filled in."""
    document: str = Field("AWS-RunShellScript", pattern=shape(r"^[a-zA-Z0-9_.:/-]{3,256}$", "the name of a document"))
    """The document, by name or ARN."""
    parameters: dict[str, tuple[str, ...]] = Field({})
    """The document's parameters; $version and $target are filled in."""
    timeout: Duration = 600.0
    """How long it may run on each instance."""
    start_within: Duration = Field(60.0, ge=_SHORTEST_TO_START)
    """How long an instance may take to begin: one without a working agent never does."""
    interval: Duration = 3.0
    """How often its status is asked for."""

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.commands and self.document not in _SHELLS:
            raise ValueError(f"commands are for {' and '.join(_SHELLS)}: give {self.document} its parameters")
        if self.document in _SHELLS and not (self.commands or self.parameters.get("commands")):
            raise ValueError("commands are missing: what is to be run on the instances")
        return self

    def filled(self, values: Mapping[str, str]) -> dict[str, list[str]]:
        """The parameters as they are sent. `values` must be safe for a shell."""
        raw = dict(self.parameters)
        if self.commands:
            raw["commands"] = self.commands
        if self.document in _SHELLS:
            raw.setdefault("executionTimeout", (str(max(1, round(self.timeout))),))
        return {name: [_fill(text, values) for text in texts] for name, texts in raw.items()}


def _fill(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(version|target)\b", lambda found: values.get(found[1], found[0]), text)


class AwsConfig(DeployConfig):
    """What both tools must know."""

    aws: Aws = Aws()
    """How AWS is asked."""
    release: Command
    """Puts a version on an instance that has no traffic, and ends well when it is started."""
    ready: Command | None = None
    """Run after the release; ends well when the instance may be given traffic."""
    healthy: Wait = Wait()
    """For the load balancer to call targets healthy."""

    @model_validator(mode="after")
    def _sdk_is_there(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError("deploys on AWS need its SDK: install healthd[aws]")
        return self


class BlueGreenConfig(AwsConfig):
    """`healthd-deploy aws blue-green`"""

    listener: Annotated[str, _arn("listener", "")] | None = None
    """The ARN of the listener whose default action is switched."""
    rule: Annotated[str, _arn("listener-rule", "")] | None = None
    """The ARN of a rule that is switched, instead of a listener."""
    target_groups: dict[Name, GroupArn] = Field(min_length=2, max_length=2)
    """The two targets, named as in healthd's configuration, and the ARN of each one's target group."""
    instances: dict[Name, Annotated[tuple[InstanceId, ...], Field(min_length=1)]] = Field({})
    """The instances of a target; those that are registered with its group, unless given."""
    retire: Command | None = None
    """Cleans up the instances that the traffic has left."""
    deregister: bool = False
    """Whether retiring also takes them out of their target group; `instances` says what comes back in."""
    retire_after: Span | None = None
    """How long after the pass that is done; without it, they stay as they are until the next deploy."""

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
    def place(self) -> str:
        """The ARN of what forwards."""
        return self.listener or self.rule or ""


class RollingPlan(GatePlan):
    """Which policies must be passed, and when."""

    after: Name = "batch"
    """After each batch."""
    last: Name | None = None
    """After the last batch instead, where `after` compares with the version before: then none has it any more."""

    @model_validator(mode="after")
    def _nothing_is_idle(self) -> Self:
        if self.idle:
            raise ValueError("idle: a rolling deploy has no target without traffic; use `ready` and `after`")
        return self


class RollingConfig(AwsConfig):
    """`healthd-deploy aws rolling`"""

    target_group: GroupArn
    """The target group whose instances get the version."""
    target: Name | None = None
    """The target in healthd's configuration, where the service has several. Versions are told apart by the source."""
    previous: VersionName | None = None
    """What instances have on which no version was noted yet: for the first deploy."""
    gates: RollingPlan = RollingPlan()
    batch: int = Field(1, ge=1)
    """How many instances are taken out at a time."""
    minimum_healthy: int = Field(1, ge=0)
    """How many others must be healthy before any are taken out, on the way back too."""
    drain: Wait = Wait(within=600.0)
    """For the requests under way at an instance that is taken out; longer than the group's deregistration delay."""
    on_fail: Literal["batch", "all"] = "batch"
    """What gets the version before again: the batch that failed, or the batches before it too."""
