"""Platform HAProxy for blue-green deploys."""

from __future__ import annotations

from healthd_deploy.core import program
from healthd_deploy.core.blue_green import BeforeRamp, has_traffic, no_ramp, whole_or_before
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.haproxy.settings import HAProxyConfig
from healthd_deploy.haproxy.traffic import Traffic
from healthd_deploy.haproxy.versions import Versions


class HAProxyPlatform:
    """Platform with the two targets of one backend. `before_ramp` returns the target that had all of the traffic before
    a ramp divided it."""

    def __init__(self, config: HAProxyConfig, traffic: Traffic, before_ramp: BeforeRamp = no_ramp) -> None:
        self._config, self._traffic, self._before_ramp = config, traffic, before_ramp
        self._versions = Versions(config.traffic.versions)

    async def live(self) -> str:
        """Return the target with all of the traffic; where a ramp divides it, the one that had all of it before."""
        return await whole_or_before(self._traffic.place, await self._traffic.shares(), self._before_ramp)

    async def idle(self) -> str:
        return self._beside(await self.live())

    async def share(self, target: str) -> float:
        return (await self._traffic.shares())[target]

    async def version(self, target: str) -> str | None:
        return self._versions.read().get(target)

    async def release(self, target: str, version: str) -> None:
        """Release, and wait until HAProxy's own health check, where it has one, finds the target up."""
        if share := await self.share(target):
            if await self.version(target) == version:
                return  # it is there already, and has traffic
            back = f"`healthd-deploy haproxy switch {self._beside(target)}` takes it back"
            raise StepFailed(has_traffic(target, share, back))
        # From here until the end of the release nothing may assume that the target has its old version.
        self._versions.note(target, None)
        await self._config.release.run(target, version)
        await self._traffic.is_up(target, within=self._config.up_within)
        self._versions.note(target, version)

    async def switch(self, target: str) -> None:
        await self._traffic.give(target)

    async def take_back(self, target: str) -> None:
        """Send the traffic back through each HAProxy that answers. Raises NoAnswer where one does not: it is to be
        asked again."""
        await self._traffic.give(target, goes_back=True)

    async def could_take_back(self, target: str) -> None:
        await self._traffic.could_take_back(target)

    def check_programs(self) -> None:
        self._versions.check()
        for each in self._config.programs:
            program.find(each.argv[0])

    async def retire(self, target: str) -> None:
        if (retire := self._config.retire) is not None:
            await retire.run(target, await self.version(target) or "unknown")

    def _beside(self, target: str) -> str:
        return next(name for name in self._config.traffic.servers if name != target)
