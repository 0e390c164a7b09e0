"""Blue-green deploy on any platform: one function shows all of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from healthd_deploy.core.exit import CouldNotAsk, LeftInPlace, NoAnswer, NothingSwitched, NoWayBack, StepFailed
from healthd_deploy.core.gate_request import Arm, arm
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.platform import (
    DividesTraffic,
    LooksBack,
    Platform,
    PutsBack,
    RunsPrograms,
    Strayed,
    TakesBack,
)
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import GatePlan
from healthd_deploy.core.steps import Act, Steps, wait_until
from healthd_deploy.core.watched_traffic import has_all, watching


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """Parts of one deploy."""

    platform: Platform
    gate_session: GateSession
    steps: Steps
    plan: GatePlan
    retire_after: float | None
    releases_back: bool = False
    """True if a failed deploy releases to the idle target what it had before, on a platform that cannot put it back
    otherwise."""
    ramp: str | None = None
    """Policy whose gate moves the traffic by itself, step by step; None to switch all of it at once."""

    @property
    def policy(self) -> str:
        """Policy that decides whether the version keeps the traffic."""
        return self.ramp or self.plan.after

    async def deploy(self, version: str) -> None:
        """Release to the idle target, switch, and stay there only if the gate passes. Raises Stopped.

        A deploy whose tool was killed after the switch continues at the gate when it is run again with its key: the
        version has the traffic already. The switch of another deploy is not undone.
        """
        steps, platform = self.steps, self.platform
        if isinstance(platform, RunsPrograms):
            platform.check_programs()
        live = await steps.look("which target has the traffic", platform.live)
        idle = await platform.idle()
        resumed = False
        if await platform.version(live) == version:
            steps.say(f"{version} is on {live}, which has the traffic already")
            if not await self.gate_session.earlier.switched(self.policy, arm(version, live)):
                await self.gate_session.earlier.not_quarantined(version)
                await self.gate_session.stays(self.plan.after, arm(version, live), ramp=self.ramp)
                await self._has_all(live, idle)
                return
            live, idle, resumed = idle, live, True
        standing = await platform.version(live)
        if standing is None and self.ramp is not None:
            steps.say(f"which version {live} has is not recorded: a source that names $version will not find it", "✗")
        baseline = arm(standing, live)
        candidate = arm(version, idle)
        if not resumed:  # else all of this was before its switch; its verdict may have put the version in quarantine
            await self._can_go_back(live)
            await self._may_begin(candidate, baseline)
        before = await self._way_back(idle, version)
        release = f"go on with {version} on {idle}: nothing to release" if resumed else f"release {version} to {idle}"
        await steps.do(release, lambda: self._release(idle, version), undo=before)
        for policy in () if resumed else self.plan.idle:
            await self.gate_session.passes(policy, candidate)
        # Before the switch: a version that healthd refuses gets no traffic, and from then on healthd rolls a bad one
        # back even if this tool is killed.
        kept, ramps = self.retire_after, self.ramp is not None
        if ramps:  # which has traffic from its start on
            await self.gate_session.lock.hold()
        await self.gate_session.begin(
            self.policy,
            candidate,
            baseline,
            rollback_window=kept,
            resumed=resumed,
            ramps=ramps,
            awaits_switch=not ramps,
        )
        back = (f"put the traffic back to {live}", lambda: self._back(live))
        if ramps:
            hand_over = partial(self._hand_over, resumed=resumed)
            await steps.do(f"let healthd move the traffic from {live} to {idle}", hand_over, undo=back)
            whole = await self._follow(idle)
        else:
            whole = True
            await self.gate_session.lock.hold()
            switch = f"see that {idle} has the traffic" if resumed else f"switch the traffic from {live} to {idle}"
            await steps.do(switch, lambda: self._switch(idle, resumed=resumed), undo=back)
            await self.gate_session.switched()
            session = self.gate_session
            async with watching(platform, idle, session.followed, steps, session.report):
                await session.verdict()
        steps.settled()
        if whole:
            await self._has_all(idle, live)
        if self.retire_after is not None:
            await steps.afterwards(f"retire {live}", lambda: self._retire(live), wait=self.retire_after)
            await self._has_all(idle, live)

    async def _has_all(self, target: str, other: str) -> None:
        """Raise LeftInPlace where a proxy does not give a version that passed all of the traffic: a person must look,
        for nobody knows which of both is meant. Raises OrderedBack where healthd has rolled it back since."""
        session = self.gate_session
        if self.steps.dry_run or (found := await has_all(self.platform, target, other, session.report)) is None:
            return
        if isinstance(found, Strayed):
            await session.followed.still_stands()
            session.report.stray(found)
        if (strayed := session.report.strayed) is not None:  # also where it was the last that was seen
            raise LeftInPlace(f"its gate passed, but {strayed}")
        self.steps.say(found.what, "✗")
        session.report.remark = found.what

    async def _can_go_back(self, live: str) -> None:
        """Raise NoWayBack where a deploy that fails could not give the traffic back: better now than with a bad version
        in place."""
        if self.gate_session.no_rollback or not isinstance(self.platform, LooksBack):
            return
        try:
            await self.steps.look(f"the way back to {live}", partial(self.platform.could_take_back, live))
        except (NoAnswer, Misnamed):
            raise
        except StepFailed as failed:
            if (other := await self.gate_session.earlier.rollback_of_another()) is not None:
                due = f"the rollback of {other.candidate.version} by gate {other.id} is not done"
                raise CouldNotAsk(f"{due}, and could not be: {str(failed).rstrip('.')}. Nothing was done") from failed
            why = f"there would be no way back to {live}: {str(failed).rstrip('.')}"
            raise NoWayBack(f"{why}. Nothing was done: set that right, or deploy with --no-rollback") from failed

    async def _may_begin(self, candidate: Arm, baseline: Arm) -> None:
        """Raise unless the gates before the release pass, and healthd would start those after it."""
        session = self.gate_session
        await session.earlier.not_quarantined(candidate["version"])
        for policy in self.plan.before:
            await session.passes(policy, candidate)
        await session.admission.could_begin(self.plan.idle, candidate)
        if self.ramp is None:
            await session.admission.could_begin((self.plan.after,), candidate, baseline, rolls_back=True)
        else:
            await session.admission.could_ramp(self.ramp, candidate, baseline)

    async def _way_back(self, idle: str, version: str) -> tuple[str, Act[None]] | None:
        """Return how the release to the idle target is undone; None where it stays."""
        if isinstance(self.platform, PutsBack):
            return f"put {idle} back to what it was", partial(self.platform.put_back, idle)
        standing = await self.platform.version(idle) if self.releases_back else None
        if standing is None or standing == version:
            return None
        return f"release {standing} to {idle} again", partial(self._release, idle, standing)

    async def _release(self, target: str, version: str) -> None:
        """Release a version, never to a target with traffic, unless it has that very version already."""
        if await self.platform.live() == target:
            if await self.platform.version(target) == version:
                return
            raise StepFailed(f"{target} has the traffic: nothing may be released to it")
        await self.platform.release(target, version)

    async def _switch(self, target: str, *, resumed: bool) -> None:
        self.gate_session.report.exposed(before=resumed)
        try:
            await self.platform.switch(target)
        except NothingSwitched:
            if not resumed:
                self.gate_session.report.not_exposed()
            raise

    async def _hand_over(self, *, resumed: bool) -> None:
        """Nothing but noted: the gate has begun, and widens by itself, even if this tool is killed."""
        self.gate_session.report.exposed(before=resumed)

    async def _follow(self, idle: str) -> bool:
        """Follow a ramp to its verdict, and a pass until the target has all the traffic, which a lenient policy gives
        to it only then. Return False where healthd goes on giving it that; what has gone since it had given all of it
        is nothing that healthd will give again."""
        session = self.gate_session
        async with watching(self.platform, idle, session.followed, self.steps, session.report):
            await session.verdict()
        if self.steps.dry_run:
            return True

        async def complete() -> bool:
            return await self.platform.live() == idle

        try:
            await wait_until(complete, within=self.gate_session.patience, every=0.5, what=f"all the traffic to {idle}")
        except StepFailed:
            if session.followed.share == 1.0:
                return True
            self.gate_session.report.remark = (
                f"healthd has passed it, and goes on giving {idle} the rest of the traffic"
            )
            self.steps.say(self.gate_session.report.remark, "✗")
            return False
        return True

    async def _back(self, target: str) -> None:
        platform = self.platform
        await (platform.take_back(target) if isinstance(platform, TakesBack) else platform.switch(target))
        self.gate_session.report.back()

    async def _retire(self, target: str) -> None:
        platform = self.platform
        await self.gate_session.followed.still_stands()  # a rollback that is due needs what would be cleaned up
        part = await platform.share(target) if isinstance(platform, DividesTraffic) else 0.0
        if part or await platform.live() == target:
            raise StepFailed(f"{target} has the traffic again: it stays")
        await self.platform.retire(target)
