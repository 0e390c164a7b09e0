"""Platform of a proxy that keeps weights, for blue-green deploys."""

from __future__ import annotations

from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.shares import BeforeRamp, has_traffic, no_ramp, whole_or_before
from healthd_deploy.weighted.settings import WeightedConfig
from healthd_deploy.weighted.traffic import WeightedTraffic


class WeightedPlatform:
    """Platform with the two targets of one proxy's traffic. `before_ramp` returns the target that had all of it before
    a ramp divided it."""

    def __init__(self, config: WeightedConfig, traffic: WeightedTraffic, before_ramp: BeforeRamp = no_ramp) -> None:
        self._config, self._traffic, self._before_ramp = config, traffic, before_ramp

    async def live(self) -> str:
        """Return the target with all of the traffic; where a ramp divides it, the one that had all of it before."""
        try:
            return await whole_or_before(self._traffic.place, await self._traffic.shares(), self._before_ramp)
        except StepFailed as unclear:
            if type(unclear) is StepFailed and (told := await self._traffic.differing()) is not None:
                raise StepFailed(f"{unclear}. {told}") from None
            raise

    async def idle(self) -> str:
        return self._beside(await self.live())

    async def share(self, target: str) -> float:
        return (await self._traffic.shares())[target]

    async def version(self, target: str) -> str | None:
        return await self._traffic.version(target)

    async def release(self, target: str, version: str) -> None:
        """Release, and wait until the proxy's own health check, where it has one, finds the target up."""
        if share := await self.share(target):
            if await self.version(target) == version:
                return  # it is there already, and has traffic
            back = f"`healthd-deploy {self._traffic.proxy} switch {self._beside(target)}` takes it back"
            raise StepFailed(has_traffic(target, share, back))
        # From here until the end of the release nothing may assume that the target has its old version.
        await self._traffic.note(target, None)
        await self._config.release.run(target, version)
        await self._traffic.is_up(target, within=self._config.up_within)
        await self._traffic.note(target, version)

    async def switch(self, target: str) -> None:
        await self._traffic.give(target)

    async def take_back(self, target: str) -> None:
        """Send the traffic back through each proxy that answers. Raises NoAnswer where one does not: it is to be asked
        again."""
        await self._traffic.give(target, goes_back=True)

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        return await self._traffic.strayed(target, share)

    async def could_take_back(self, target: str) -> None:
        await self._traffic.could_take_back(target)

    def check_programs(self) -> None:
        self._traffic.check_record()
        for each in self._config.programs:
            program.find(each.argv[0])

    async def retire(self, target: str) -> None:
        if (retire := self._config.retire) is not None:
            await retire.run(target, await self.version(target) or "unknown")

    def _beside(self, target: str) -> str:
        return next(name for name in self._traffic.targets if name != target)
