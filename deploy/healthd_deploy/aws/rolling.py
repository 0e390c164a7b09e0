"""Rolling deploy: batch by batch, each judged beside the instances with the version before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from healthd_deploy.aws.fleet import Fleet, Instance
from healthd_deploy.aws.remote import Remote
from healthd_deploy.aws.settings import RollingConfig
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.gate_request import Arm
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.steps import Steps, wait_until


@dataclass(frozen=True, slots=True)
class Rolling:
    """Parts of one deploy.

    The undo is derived from the instances' tags: every unsettled one gets the version before again. So it does not
    matter whether this run left it so, or one that was killed.
    """

    config: RollingConfig
    fleet: Fleet
    remote: Remote
    gate_session: GateSession
    steps: Steps

    async def deploy(self, version: str) -> None:
        """Deploy a version. Raises Stopped; then no instance is taken out, and none that was not judged has the
        version."""
        steps, plan = self.steps, self.config.gates
        instances = await steps.look("which instances there are", self.fleet.instances)
        self._leaves_enough(instances)
        instances = self._with_versions(instances, version)
        undo = ("put back every instance that is not settled", lambda: self._put_back(version))
        keep = ("keep the version on the instances that have traffic", lambda: self._keep(version))
        await steps.do("note which version each instance has", lambda: self._note(instances), undo=undo, keep=keep)
        judged = tuple(filter(None, (plan.after, plan.last)))
        if self.gate_session.no_rollback and any(one.version == version and not one.is_unsettled for one in instances):
            await self.gate_session.left_before(judged, self._arm(version))
        await self.gate_session.earlier.not_quarantined(version)
        for policy in plan.before:
            await self.gate_session.passes(policy, self._arm(version))
        todo = [one for one in instances if one.is_unsettled or one.version != version]
        if done := len(instances) - len(todo):
            steps.say(f"{done} of {len(instances)} instances have {version} already")
        # Batches of a killed run come first: they have been without a verdict, or without traffic, for longest.
        todo.sort(key=lambda one: not one.is_unsettled)
        if todo:
            await self.gate_session.admission.could_begin(judged, self._arm(version), self._arm(_before(todo)))
        batches = [todo[start : start + self.config.batch] for start in range(0, len(todo), self.config.batch)]
        for number, batch in enumerate(batches, 1):
            steps.say(f"batch {number} of {len(batches)}: {_ids(batch)}")
            await self._batch(batch, version, is_last=number == len(batches))
        await steps.do(f"settle {version} everywhere", lambda: self.fleet.settle(instances))
        steps.settled()

    async def _batch(self, batch: Sequence[Instance], version: str, *, is_last: bool) -> None:
        steps, plan, ids = self.steps, self.config.gates, _ids(batch)
        await self.gate_session.lock.hold()
        fresh = [one for one in batch if one.version != version]
        if fresh:
            await steps.do(f"take out {_ids(fresh)}", lambda: self._take_out(fresh))
            await steps.do(f"release {version} to {_ids(fresh)}", lambda: self._release(fresh, version))
        await steps.do(f"bring in {ids}", lambda: self._bring_in(batch))
        policy = plan.last if is_last and plan.last else plan.after
        await self.gate_session.passes(
            policy, self._arm(version), self._arm(_before(batch)), part=batch[0].id, resumed=not fresh
        )
        if self.config.on_fail == "batch":
            await steps.do(f"settle {ids}", lambda: self.fleet.settle(batch))

    async def _take_out(self, batch: Sequence[Instance]) -> None:
        if any(not one.is_out for one in batch):
            await self._enough_beside(batch)
        await self.fleet.take_out(batch, self.config.drain)

    async def _release(self, batch: Sequence[Instance], version: str) -> None:
        """Release to instances that are taken out."""
        for one in batch:
            # If a release was started before, the instance's own version is lost: the one before that counts.
            await self.fleet.begun([one], one.version or one.previous or version)
        await self._run(batch, version)
        await self.fleet.noted(batch, version)

    async def _run(self, batch: Sequence[Instance], version: str) -> None:
        ids = [one.id for one in batch]
        values = {"version": version, "target": self.config.target or ""}
        await self.remote.run(f"release {version}", self.config.release, ids, values)
        if self.config.ready is not None:
            await self.remote.run(f"ready {version}", self.config.ready, ids, values)

    async def _bring_in(self, batch: Sequence[Instance]) -> None:
        if self.gate_session.report.exposed_at is None:
            self.gate_session.report.exposed()
        await self.fleet.bring_in(batch, self.config.healthy)

    async def _put_back(self, version: str) -> None:
        """Put back as the tags say. Instances that are out already come first: they cost no capacity."""
        found = await self.fleet.instances()
        unsettled = sorted((one for one in found if one.is_unsettled), key=lambda one: not one.is_out)
        for start in range(0, len(unsettled), self.config.batch):
            await self._restore(unsettled[start : start + self.config.batch])
        if kept := [one for one in found if one.version == version and not one.is_unsettled]:
            self.steps.say(f"{_ids(kept)} keep {version}")
        else:
            self.gate_session.report.back()

    async def _keep(self, version: str) -> None:
        """Keep the version where it has traffic; an instance that is out, or half released, is put back."""
        found = await self.fleet.instances()
        if kept := [one for one in found if one.version == version and one.is_unsettled and not one.is_out]:
            await self.fleet.settle(kept)
        await self._put_back(version)

    async def _restore(self, batch: Sequence[Instance]) -> None:
        changed = [one for one in batch if one.previous is not None and one.previous != one.version]
        if changed:
            await self._take_out(changed)
        by_version = sorted(changed, key=lambda one: one.previous or "")
        for previous, group in groupby(by_version, key=lambda one: one.previous or ""):
            same = list(group)
            self.steps.say(f"release {previous} to {_ids(same)} again")
            await self.fleet.begun(same, previous)
            await self._run(same, previous)
            await self.fleet.noted(same, previous)
        await self.fleet.bring_in(batch, self.config.healthy)
        await self.fleet.settle(batch)

    async def _enough_beside(self, batch: Sequence[Instance]) -> None:
        """Wait until enough other instances are healthy; raises StepFailed at the timeout, with nothing taken out."""
        healthy, minimum, wait = 0, self.config.minimum_healthy, self.config.healthy

        async def enough() -> bool:
            nonlocal healthy
            healthy = await self.fleet.healthy_beside(batch)
            return healthy >= minimum

        try:
            await wait_until(enough, within=wait.within, every=wait.interval, what=f"{minimum} others healthy")
        except StepFailed as failed:
            raise StepFailed(f"{failed} (there are {healthy}): {_ids(batch)} must stay in") from None

    def _leaves_enough(self, instances: Sequence[Instance]) -> None:
        if not instances:
            raise StepFailed("no instance is registered with the target group")
        left, minimum = len(instances) - min(self.config.batch, len(instances)), self.config.minimum_healthy
        if left < minimum:
            raise StepFailed(
                f"a batch of {self.config.batch} of {len(instances)} instances leaves {left}, and minimum_healthy is "
                f"{minimum}: make the batch smaller, or add instances"
            )

    def _with_versions(self, instances: Sequence[Instance], version: str) -> list[Instance]:
        """Return the instances, with a version on each that has no tag. Raises StepFailed where it is unknown.

        An instance without tags, such as one that was launched since, is assumed to have the version of the others.
        """
        noted = {name for one in instances for name in (one.version, one.previous)} - {None, version}
        common = noted.pop() if len(noted) == 1 else self.config.previous
        known = []
        for one in instances:
            if one.is_without_notes and common is None:
                raise StepFailed(f"nobody noted which version {one.id} has: say so once, with `previous`")
            known.append(replace(one, version=common) if one.is_without_notes else one)
        return known

    async def _note(self, instances: Sequence[Instance]) -> None:
        """Record the version; where a release is in progress, its tag stays."""
        for one in instances:
            if one.version is not None:
                await self.fleet.noted([one], one.version)

    def _arm(self, version: str) -> Arm:
        return {"version": version, "target": self.config.target} if self.config.target else {"version": version}


def _before(batch: Sequence[Instance]) -> str:
    return batch[0].previous or batch[0].version or "unknown"


def _ids(batch: Sequence[Instance]) -> str:
    return ", ".join(one.id for one in batch)
