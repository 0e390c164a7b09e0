"""Platform NGINX for blue-green deploys."""

from __future__ import annotations

from healthd_deploy.core import program
from healthd_deploy.core.exit import COULD_NOT_ASK, NoAnswer, StepFailed, TargetDown
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.shares import has_traffic
from healthd_deploy.nginx import directives, idle, in_force, loaded
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.settings import NginxConfig
from healthd_deploy.nginx.switch import UpstreamSwitch
from healthd_deploy.nginx.upstream_file import UpstreamFile

_GRAIN = 0.01  # percent of the traffic: `switch --weight` knows two decimals


class NginxPlatform:
    """Platform with the two targets of one upstream."""

    def __init__(self, config: NginxConfig) -> None:
        self._config = config
        self._file, self._switch = UpstreamFile(config.upstream), UpstreamSwitch(config.upstream)
        self._loaded: Configuration | None = None

    async def live(self) -> str:
        return self._file.read().live

    async def idle(self) -> str:
        return self._config.upstream.beside(await self.live())

    async def doubt_of_idle(self) -> str | None:
        """Return that the idle target does not answer, for people; None where it does, and where the file does not tell
        which one it is, as the deploy's own look says then. Raises Misnamed."""
        try:
            state = self._file.read()
        except StepFailed:
            return None
        return await idle.doubt_of(self._config.upstream, state)

    async def share(self, target: str) -> float:
        return self._file.read().share(target) / 100

    async def version(self, target: str) -> str | None:
        return self._file.read().versions.get(target)

    async def release(self, target: str, version: str) -> None:
        state = self._file.read()
        if state.share(target):
            if state.versions.get(target) == version:
                return  # it is there already, and has traffic
            back = f"`healthd-deploy nginx switch {self._config.upstream.beside(target)}` takes it back"
            raise StepFailed(has_traffic(target, state.share(target) / 100, back))
        if (has := self._switch.in_force()) is not None and (part := has.share(target)):
            file, live = self._config.upstream.file, self._config.upstream.beside(target)
            keeps = f"`healthd-deploy nginx switch {target}` keeps the traffic where it is, " if part == 100.0 else ""
            raise StepFailed(
                f"{file} leads to {live}, and NGINX has not loaded it, so that {target} has {part:.4g} % of the "
                f"traffic: a tool was killed before its reload. {keeps}`healthd-deploy nginx switch {live}` gives it "
                f"to {live}"
            )
        self._file.keep_room(directives.written(self._config.upstream, state))  # which the release may use up
        await self._config.release.run(target, version)
        self._file.noted(target, version)

    async def switch(self, target: str) -> None:
        await self._switch.switch(target, is_forward=True)

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        """Return why a target has another share of the traffic than it was given, by the file and by NGINX's process;
        None where it has that, as far as both tell."""
        upstream = self._config.upstream
        if abs((has := self._file.read().share(target)) - 100.0 * share) >= _GRAIN:
            gives = f"{upstream.file} gives {target} {has:.3g} % of the traffic: who wrote it?"
            restored = f"`healthd-deploy nginx switch {target}` gives all of it back"
            cure = restored if share >= 1.0 else f"Its ramp ordered {100 * share:.4g} %"
            return Strayed(gives, in_part=has > 0.0, share=has / 100.0, cure=cure)
        self._loaded = self._loaded or await loaded.read(upstream)
        stopped = in_force.stopped(upstream, self._loaded)
        return None if stopped is None else Strayed(stopped, in_part=False)

    async def could_take_back(self, target: str) -> str | None:
        return await Rehearsal(self._config.upstream).could_take_back(target)

    async def take_back(self, target: str) -> None:
        """Send the traffic back. Raises NoAnswer for what may pass, such as an NGINX that is restarted or a
        configuration that somebody edits: it is to be tried again."""
        try:
            await self._switch.switch(target, goes_back=True)
        except StepFailed as failed:
            if isinstance(failed, TargetDown) or failed.code == COULD_NOT_ASK:
                raise
            raise NoAnswer(str(failed)) from failed

    def check_programs(self) -> None:
        own = [each.argv for each in self._config.programs]
        for argv in (self._config.upstream.test, self._config.upstream.reload, *own):
            program.find(argv[0])

    async def retire(self, target: str) -> None:
        if (retire := self._config.retire) is not None:
            await retire.run(target, await self.version(target) or "unknown")
