"""One target group: its members, their health, and the version recorded on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from healthd_deploy.aws.cloud import Call, Cloud, explained
from healthd_deploy.aws.settings import Wait
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.steps import wait_until

_VERSION = "healthd:version"
# AWS's state of the targets of a group that no listener or rule uses: it does not check them.
_NOT_IN_USE = "Target.NotInUse"


@dataclass(frozen=True, slots=True)
class Member:
    """Registered target. `state` is AWS's word, except for `not in use`."""

    instance: str
    port: int
    state: str

    @property
    def target(self) -> Call:
        """Target in the format of the API."""
        return {"Id": self.instance, "Port": self.port}


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Target group of one ARN; `name` is for people."""

    cloud: Cloud
    arn: str
    name: str

    async def members(self) -> list[Member]:
        """Return all registered targets, including those that drain. Raises StepFailed for targets that are no
        instances."""
        with explained():
            answer = await self.cloud.elbv2.describe_target_health(TargetGroupArn=self.arn)
        found = []
        for one in answer["TargetHealthDescriptions"]:
            health, target = one["TargetHealth"], one["Target"]
            if not target["Id"].startswith("i-"):
                raise StepFailed(
                    f"{self.name} has the target {target['Id']}, which is no instance: SSM needs instances"
                )
            state = "not in use" if health.get("Reason") == _NOT_IN_USE else str(health["State"])
            found.append(Member(target["Id"], int(target["Port"]), state))
        return sorted(found, key=lambda member: (member.instance, member.port))

    async def register(self, targets: Sequence[Call]) -> None:
        """Register targets; those already registered stay."""
        with explained():
            await self.cloud.elbv2.register_targets(TargetGroupArn=self.arn, Targets=list(targets))

    async def deregister(self, targets: Sequence[Call]) -> None:
        """Deregister targets; they finish their requests in progress."""
        with explained():
            await self.cloud.elbv2.deregister_targets(TargetGroupArn=self.arn, Targets=list(targets))

    async def healthy(self, instances: Collection[str], wait: Wait) -> None:
        """Wait until the load balancer reports all of them as healthy. Raises StepFailed with their actual state."""
        shown = "nothing registered"

        async def all_are() -> bool:
            nonlocal shown
            mine = [member for member in await self.members() if member.instance in instances]
            shown = states(mine)
            missing = set(instances) - {member.instance for member in mine}
            return not missing and all(member.state == "healthy" for member in mine)

        try:
            await wait_until(
                all_are, within=wait.within, every=wait.interval, what=f"all targets of {self.name} healthy"
            )
        except StepFailed as failed:
            raise StepFailed(f"{failed} ({shown})") from None

    async def gone(self, instances: Collection[str], wait: Wait) -> None:
        """Wait until they have drained."""

        async def none_left() -> bool:
            return not any(member.instance in instances for member in await self.members())

        what = f"{', '.join(sorted(instances))} drained out of {self.name}"
        await wait_until(none_left, within=wait.within, every=wait.interval, what=what)

    async def version(self) -> str | None:
        """Return the version recorded for the whole group; None where a release is in progress or was given up."""
        with explained():
            answer = await self.cloud.elbv2.describe_tags(ResourceArns=[self.arn])
        tags = {tag["Key"]: tag.get("Value", "") for found in answer["TagDescriptions"] for tag in found["Tags"]}
        return tags.get(_VERSION) or None

    async def note(self, version: str | None) -> None:
        """Record the version, or that none is reliable."""
        with explained():
            tags = [{"Key": _VERSION, "Value": version or ""}]
            await self.cloud.elbv2.add_tags(ResourceArns=[self.arn], Tags=tags)


def states(members: Sequence[Member]) -> str:
    """Return a text for people: `2 healthy, 1 draining`."""
    counted = Counter(member.state for member in members)
    return ", ".join(f"{count} {state}" for state, count in sorted(counted.items())) or "nothing registered"
