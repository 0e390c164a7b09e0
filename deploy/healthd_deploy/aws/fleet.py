"""Instances of one target group, and the tags on each: its version, the one before, and whether it is taken out.

The tags are on the instances, so that a deploy whose tool was killed can be continued by any other run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthd_deploy.aws.cloud import Call, Cloud, explained
from healthd_deploy.aws.group import Member, TargetGroup
from healthd_deploy.aws.settings import Wait

_VERSION, _PREVIOUS, _OUT = "healthd:version", "healthd:previous", "healthd:out-of"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. `version` is None while a release is in progress, and where none is recorded."""

    id: str
    ports: tuple[int, ...]
    version: str | None
    previous: str | None
    is_out: bool

    @property
    def is_unsettled(self) -> bool:
        """True if it is taken out, or has a version that was not judged yet."""
        return self.is_out or self.previous is not None

    @property
    def is_without_notes(self) -> bool:
        """True if nothing is recorded about its version."""
        return self.version is None and self.previous is None

    @property
    def targets(self) -> list[Call]:
        """Targets in the format of the API."""
        return [{"Id": self.id, "Port": port} for port in self.ports]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All instances that belong to a group, including those that are taken out."""

    cloud: Cloud
    group: TargetGroup

    async def instances(self) -> list[Instance]:
        """Return the instances in the order of their ids."""
        members = [member for member in await self.group.members() if member.state != "draining"]
        ports = _by_instance(members)
        out = await self._taken_out()
        tags = await self._tags(sorted({*ports, *out}))
        return [
            Instance(
                id=instance,
                ports=ports.get(instance) or out[instance],
                version=mine.get(_VERSION) or None,
                previous=mine.get(_PREVIOUS) or None,
                is_out=instance not in ports,
            )
            for instance, mine in sorted(tags.items())
        ]

    async def healthy_beside(self, batch: Sequence[Instance]) -> int:
        """Return the number of other instances that the load balancer reports as healthy."""
        mine = {instance.id for instance in batch}
        members = await self.group.members()
        return len({member.instance for member in members if member.state == "healthy"} - mine)

    async def take_out(self, batch: Sequence[Instance], drain: Wait) -> None:
        """Take instances out. A tag is set first: an instance that is out is never forgotten."""
        inside = [instance for instance in batch if not instance.is_out]
        for instance in inside:
            ports = "+".join(map(str, instance.ports))
            await self._tag([instance], {_OUT: f"{self._place}:{ports}"})
        if inside:
            await self.group.deregister([target for instance in inside for target in instance.targets])
        await self.group.gone({instance.id for instance in batch}, drain)

    async def bring_in(self, batch: Sequence[Instance], wait: Wait) -> None:
        """Register them, and wait until they are healthy."""
        await self.group.register([target for instance in batch for target in instance.targets])
        await self._untag(batch, _OUT)
        await self.group.healthy({instance.id for instance in batch}, wait)

    async def begun(self, batch: Iterable[Instance], previous: str) -> None:
        """Record that a release is in progress; until it ends, only the version before is known."""
        await self._tag(batch, {_VERSION: "", _PREVIOUS: previous})

    async def noted(self, batch: Iterable[Instance], version: str) -> None:
        """Record the version of the instances."""
        await self._tag(batch, {_VERSION: version})

    async def settle(self, batch: Iterable[Instance]) -> None:
        """Record that the instances will not be put back."""
        await self._untag(batch, _PREVIOUS)

    @property
    def _place(self) -> str:
        return self.group.arn.split(":", 5)[5]

    async def _taken_out(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for tag in await self._described([{"Name": "key", "Values": [_OUT]}]):
            place, _, ports = str(tag["Value"]).rpartition(":")
            if place == self._place:
                found[tag["ResourceId"]] = tuple(int(port) for port in ports.split("+"))
        return found

    async def _tags(self, instances: list[str]) -> dict[str, dict[str, str]]:
        tags: dict[str, dict[str, str]] = {instance: {} for instance in instances}
        if instances:
            for tag in await self._described([{"Name": "resource-id", "Values": instances}]):
                tags[tag["ResourceId"]][tag["Key"]] = tag.get("Value", "")
        return tags

    async def _described(self, filters: list[Call]) -> list[Call]:
        found: list[Call] = []
        token: Call = {}
        with explained():
            while True:
                answer = await self.cloud.ec2.describe_tags(Filters=filters, MaxResults=1000, **token)
                found += answer["Tags"]
                if not answer.get("NextToken"):
                    return found
                token = {"NextToken": answer["NextToken"]}

    async def _tag(self, batch: Iterable[Instance], tags: dict[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        with explained():
            await self.cloud.ec2.create_tags(Resources=[instance.id for instance in batch], Tags=pairs)

    async def _untag(self, batch: Iterable[Instance], key: str) -> None:
        with explained():
            await self.cloud.ec2.delete_tags(Resources=[instance.id for instance in batch], Tags=[{"Key": key}])


def _by_instance(members: Iterable[Member]) -> dict[str, tuple[int, ...]]:
    ports: dict[str, tuple[int, ...]] = {}
    for member in members:
        ports[member.instance] = (*ports.get(member.instance, ()), member.port)
    return ports
