"""Platform NGINX for blue-green deploys."""

from __future__ import annotations

from healthd_deploy.core import program
from healthd_deploy.core.blue_green import has_traffic
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx.settings import NginxConfig
from healthd_deploy.nginx.upstream import UpstreamFile


class NginxPlatform:
    """Platform with the two targets of one upstream."""

    def __init__(self, config: NginxConfig) -> None:
        self._config = config
        self._upstream = UpstreamFile(config.upstream)

    async def live(self) -> str:
        return self._upstream.read().live

    async def idle(self) -> str:
        live = await self.live()
        return next(target for target in self._config.upstream.targets if target != live)

    async def share(self, target: str) -> float:
        return self._upstream.read().share(target) / 100

    async def version(self, target: str) -> str | None:
        return self._upstream.read().versions.get(target)

    async def release(self, target: str, version: str) -> None:
        state = self._upstream.read()
        if state.share(target):
            if state.versions.get(target) == version:
                return  # it is there already, and has traffic
            beside = next(other for other in self._config.upstream.targets if other != target)
            back = f"`healthd-deploy nginx switch {beside}` takes it back"
            raise StepFailed(has_traffic(target, state.share(target) / 100, back))
        await self._config.release.run(target, version)
        self._upstream.noted(target, version)

    async def switch(self, target: str) -> None:
        await self._upstream.switch(target)

    async def could_take_back(self, target: str) -> None:
        await self._upstream.could_take_back(target)

    async def take_back(self, target: str) -> None:
        await self._upstream.switch(target, goes_back=True)

    def check_programs(self) -> None:
        own = [each.argv for each in self._config.programs]
        for argv in (self._config.upstream.test, self._config.upstream.reload, *own):
            program.find(argv[0])

    async def retire(self, target: str) -> None:
        if (retire := self._config.retire) is not None:
            await retire.run(target, await self.version(target) or "unknown")
