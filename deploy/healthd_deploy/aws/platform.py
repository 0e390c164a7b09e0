"""Platform for blue-green deploys: two target groups behind a listener, or behind one of its rules."""

from __future__ import annotations

from collections.abc import Sequence

from healthd_deploy.aws.cloud import Call, Cloud, explained
from healthd_deploy.aws.group import TargetGroup, states
from healthd_deploy.aws.remote import Remote
from healthd_deploy.aws.settings import BlueGreenConfig
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.shares import BeforeRamp, no_ramp
from healthd_gates.actions.alb_forwarding import Action, all_at, is_all_at, portion, shares, weights
from healthd_gates.actions.alb_places import ForwardingPlace

# The same wait as in healthd's own action, before it sends traffic to a group.
_ABLE = ("healthy", "initial", "not in use")


class AwsPlatform:
    """Platform whose only state of the traffic are forward actions of a load balancer; versions are tags of the
    groups. `before_ramp` returns the target that had all of the traffic before a ramp divided it."""

    def __init__(
        self, config: BlueGreenConfig, cloud: Cloud, remote: Remote, before_ramp: BeforeRamp = no_ramp
    ) -> None:
        self._config, self._cloud, self._remote, self._before_ramp = config, cloud, remote, before_ramp
        self._places = [ForwardingPlace(arn) for arn in config.places]
        self._groups = {name: TargetGroup(cloud, arn, name) for name, arn in config.target_groups.items()}
        self._names = {arn: name for name, arn in config.target_groups.items()}

    async def live(self) -> str:
        """Return the target with all of the traffic, of several places at the first, which is switched before the
        others. Where one of them is divided, it is the target that had all before the ramp, or else the one with the
        most weight. Raises StepFailed where that is neither of the two."""
        found = await self._every_place()
        for each in found.values():
            self._refuse_strangers(each)
        if not all(any(is_all_at(each, arn) for arn in self._names) for each in found.values()):
            before = await self._before_ramp()
            if before is not None and before in self._groups:
                return before
        actions = found[self._places[0]]
        (first, most), *others = sorted(weights(actions).items(), key=lambda item: -item[1])
        if not most or (others and others[0][1] == most):
            raise StepFailed(f"it forwards {shares(actions, self._names)}: give one of them all of it first")
        return self._names[first]

    async def idle(self) -> str:
        live = await self.live()
        return next(name for name in self._groups if name != live)

    async def share(self, target: str) -> float:
        group = self._groups[target].arn
        return max(portion(actions, group) for actions in (await self._every_place()).values())

    async def version(self, target: str) -> str | None:
        return await self._groups[target].version()

    async def release(self, target: str, version: str) -> None:
        """Release to all its instances; when this returns, the load balancer reports them as healthy."""
        group = self._groups[target]
        if await self.share(target) and await group.version() == version:
            return  # it is there already, and has traffic
        live = next(name for name in self._groups if name != target)
        await self._name_beside(live, target)
        instances = await self._instances(target)
        # From here until the end of the release nothing may assume that the group has its old version.
        await group.note(None)
        values = {"version": version, "target": target}
        await self._remote.run(f"release {version} to {target}", self._config.release, instances, values)
        if self._config.ready is not None:
            await self._remote.run(f"{target} ready", self._config.ready, instances, values)
        await group.healthy(instances, self._config.healthy)
        await group.note(version)

    async def switch(self, target: str) -> None:
        """Switch after a read: a state that is already right stays, and a change by others is left alone."""
        group = self._groups[target]
        others = {
            place: actions
            for place, actions in (await self._every_place()).items()
            if not is_all_at(actions, group.arn)
        }
        if not others:
            return
        for actions in others.values():
            self._refuse_strangers(actions)
        await self._refuse_dead(target)
        await self._switch_all(group.arn, others)

    async def could_take_back(self, target: str) -> None:
        await self._refuse_dead(target)

    async def _refuse_dead(self, target: str) -> None:
        members = await self._groups[target].members()
        if not any(member.state in _ABLE for member in members):
            raise StepFailed(f"{target} has no target that could take the traffic ({states(members)})")

    async def _switch_all(self, group: str, others: dict[ForwardingPlace, Sequence[Action]]) -> None:
        """Switch each place that can be, and then raise StepFailed for those that could not."""
        failed = {}
        for place, actions in others.items():
            try:
                await self._forward(place, all_at(actions, group))
            except StepFailed as error:
                if len(self._places) == 1:
                    raise
                failed[place] = error
        if not failed:
            return
        said = "; ".join(f"{place.name}: {error}" for place, error in failed.items())
        done = ", ".join(place.name for place in others if place not in failed)
        raise StepFailed(f"{said}; {done or 'no other'} was switched")

    async def retire(self, target: str) -> None:
        instances = [member.instance for member in await self._groups[target].members() if member.state != "draining"]
        if not instances:
            return
        if self._config.retire is not None:
            values = {"version": await self.version(target) or "unknown", "target": target}
            await self._remote.run(f"retire {target}", self._config.retire, instances, values)
        if self._config.deregister:
            await self._groups[target].deregister([{"Id": instance} for instance in instances])

    async def _name_beside(self, live: str, target: str) -> None:
        """Ensure that a group without traffic is listed with weight 0: otherwise AWS does not check its targets."""
        found = await self._every_place()
        for place, actions in found.items():
            if not is_all_at(actions, self._groups[live].arn):
                cookies = " and cookies may tie callers to a group" if len(weights(actions)) > 1 else ""
                which, shown = place.name if len(found) > 1 else "it", shares(actions, self._names)
                raise StepFailed(f"{which} forwards {shown}{cookies}: give {live} all of it, without stickiness, first")
        named = {arn for actions in found.values() for arn in weights(actions)}
        if self._groups[target].arn not in named:
            place, actions = next(iter(found.items()))
            await self._forward(place, all_at(actions, self._groups[live].arn, beside=[self._groups[target].arn]))

    async def _instances(self, target: str) -> list[str]:
        """Return the configured instances, and register them; or those that are registered."""
        group = self._groups[target]
        if listed := self._config.instances.get(target):
            await group.register([{"Id": instance} for instance in listed])
            return list(listed)
        members = await group.members()
        if found := sorted({member.instance for member in members if member.state != "draining"}):
            return found
        raise StepFailed(f"no instance is registered with {target}: register some, or name them under `instances`")

    def _refuse_strangers(self, actions: Sequence[Action]) -> None:
        """Refuse a switch where the traffic goes elsewhere: there is a reason for it, such as a maintenance page."""
        found = weights(actions)
        if not found:
            raise StepFailed("it forwards to no target group: somebody has put something else in place")
        strangers = [arn for arn, weight in found.items() if weight and arn not in self._names]
        if strangers:
            raise StepFailed(f"it forwards to {', '.join(strangers)}, which is not one of target_groups")

    async def _every_place(self) -> dict[ForwardingPlace, Sequence[Action]]:
        """Return what each place forwards to."""
        with explained():
            return {place: await place.actions(self._cloud.elbv2) for place in self._places}

    async def _forward(self, place: ForwardingPlace, actions: list[Call]) -> None:
        with explained():
            await place.forward(self._cloud.elbv2, actions)
