"""Switch of the traffic: write the file, have NGINX check it, reload."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from healthd_deploy.core import program
from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.core.program import ProgramTimedOut
from healthd_deploy.nginx import directives, in_force
from healthd_deploy.nginx.able import refuse_unable
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.reloaded import NotTaken, Workers, patience, until_reloaded, workers
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.taken import Taken
from healthd_deploy.nginx.upstream_file import UpstreamFile


class UpstreamSwitch:
    """Switches the traffic between the two targets of one upstream."""

    def __init__(self, config: Upstream) -> None:
        self._config, self._file = config, UpstreamFile(config)
        self._taken = Taken(self._file.lock)
        self._in_force: bytes | None = None  # with which NGINX goes on as it did, since a reload did nothing

    async def switch(
        self,
        target: str,
        weight: float = 100.0,
        *,
        version: str | None = None,
        even_if_dead: bool = False,
        goes_back: bool = False,
        is_forward: bool = False,
        even_if_stopped: bool = False,
    ) -> None:
        """Give a target its percentage of the traffic, and the other one the rest: write, check, reload. A file that
        NGINX refuses, or does not load, is put back: it says which target is live, for the next deploy too. `version`
        records which one the target has.

        A part of the traffic leaves the live target what it is: it is the one to go back to. Raises TargetDown, with
        nothing changed, if the target that gets more traffic does not answer. What `goes_back` to a target that has all
        of the traffic, by healthd's own action, has NGINX load the file as it is, where it was not seen to have it.

        A switch that `is_forward` keeps room on the disk for the way back first; another one of all of the traffic may
        be that way, and uses the room on a disk that is full.

        An NGINX that is stopped gets no new version. With `goes_back` or `even_if_stopped` the file is written all the
        same, so that NGINX has the right target once somebody starts it, and this raises StepFailed.
        """
        is_back = goes_back and self._has_all(target)
        await refuse_unable(self._config, target, weight, even_if_dead=even_if_dead or is_back)
        with self._file.locked():
            before = self._file.content()
            known = (self._file.replaceable() if before is not None else None) or State(self._config.beside(target))
            if version is not None:
                known = replace(known, versions={**known.versions, target: version})
            after = directives.with_share(self._config, known, target, weight)
            wanted = before if before and is_back else directives.written(self._config, after)
            if before == wanted == self._in_force:
                return
            configuration = await in_force.checked(
                self._config, self._file, even_if_stopped=goes_back or even_if_stopped
            )
            if before is not None and before == wanted and self._taken.has(wanted, workers(self._config.pid)):
                return
            stopped = in_force.stopped(self._config, configuration) if before is not None else None
            if is_forward:
                self._file.keep_room(max(before or b"", wanted, key=len))
            self._file.replace(wanted, uses_room=not is_forward and weight in (0.0, 100.0))
            began = time.monotonic()
            configuration = await self._accepted(before, configuration)
            if stopped is not None:
                goal = target if weight else self._config.beside(target)
                raise StepFailed(f"{stopped}. {self._config.file} leads to {goal}, which has the traffic from then on")
            if goes_back and self._kept_from(before, target, weight):
                return
            patient = patience(time.monotonic() - began, self._config.timeout)
            # Also where the file said so before: its writer may have been killed before the reload.
            await self._put_in_force(target, before, wanted, patient, configuration)

    def in_force(self) -> State | None:
        """Return who has the traffic by what NGINX was seen to load, None where that is not known. It is not what the
        file says where a tool was killed before its reload."""
        return self._taken.state(workers(self._config.pid))

    def _kept_from(self, before: bytes | None, target: str, weight: float) -> bool:
        """Return True where NGINX never loaded what the file had `before`, for this tool's reloads do nothing, and
        gives a target its percentage: another reload has nothing to take back."""
        if before is None or before != self._in_force:
            return False
        has = self.in_force()
        return has is not None and has.share(target) == weight

    def _has_all(self, target: str) -> bool:
        """Return True where the file gives a target all of the traffic. Raises StepFailed where it tells no target; one
        that is gone gives nobody any, and is written again."""
        return self._file.content() is not None and self._file.read().share(target) == 100.0

    async def _accepted(self, before: bytes | None, configuration: Configuration) -> Configuration:
        """Have NGINX check its configuration with the file that was written; return that configuration. Raises
        NothingSwitched, with the file as it was `before`, where NGINX refuses it, or does not include a first one."""
        try:
            await in_force.tested(self._config)
            if before is None:
                return await in_force.checked(self._config, self._file, even_if_stopped=True)
        except BaseException as refused:
            self._file.put_back(before)
            if type(refused) is StepFailed:
                raise NothingSwitched(str(refused)) from None
            raise
        return configuration

    async def _put_in_force(
        self, target: str, before: bytes | None, wanted: bytes, patient: float, configuration: Configuration
    ) -> None:
        """Have NGINX load the file, which has what is `wanted`. Raises StepFailed, which says what became of it, where
        it does not."""
        was = workers(self._config.pid)
        try:
            await self._reload(wanted, patient, configuration.errors)
        except StepFailed as failure:
            if isinstance(failure, NotTaken) and before is not None:
                self._file.put_back(before)
                self._in_force = before
                with suppress(StepFailed):  # for the case that `pid` names another NGINX
                    await program.run(self._config.reload, within=self._config.timeout)
                raise NotTaken(f"{failure}. {self._config.file} is as it was before: nothing was switched") from None
            raise await self._taken_back(target, before, failure, was, patient, configuration) from None

    async def _reload(self, content: bytes, patient: float, errors: str) -> None:
        """Have NGINX load this content; return once its new workers alone take connections. Raises NotTaken, which
        names where its `errors` are, after so many seconds."""
        before = workers(self._config.pid)
        await program.run(self._config.reload, within=self._config.timeout)
        await until_reloaded(self._config.pid, before, within=patient, errors=errors)
        self._taken.note(content, self._file.replaceable(), before, workers(self._config.pid))

    async def _taken_back(
        self,
        target: str,
        before: bytes | None,
        failure: StepFailed,
        was: Workers | None,
        patient: float,
        configuration: Configuration,
    ) -> StepFailed:
        """Put the file back after a failed reload of NGINX, whose workers `was` before it. Return what became of it.

        The reload may have worked nevertheless, such as one that exceeded its time: NGINX is reloaded once more, now
        with the old file. One that fails again, and leaves the workers as they were, has done nothing.
        """
        file = self._config.file
        if before is None:  # the first file: NGINX may need it to start at all
            why = in_force.stopped(self._config, configuration)
            cure = why or "NGINX has not loaded it: start NGINX, or reload it"
            return StepFailed(f"{failure}. {file} is written, for {target}: {cure}")
        self._file.put_back(before)
        try:
            await self._reload(before, patient, configuration.errors)
        except StepFailed as again:
            if not isinstance(failure, ProgramTimedOut) and not isinstance(again, ProgramTimedOut | NotTaken):
                try:
                    await until_reloaded(self._config.pid, was, within=patient, errors=configuration.errors)
                except NotTaken:
                    self._in_force = before
                    kept = f"{file} is as it was before, and NGINX has the workers that it had"
                    return NothingSwitched(f"{failure}. {kept}: the reload does nothing, and nothing was switched")
            either = f"{file} is as it was before; NGINX could not be reloaded with it either: see what it runs"
            return StepFailed(f"{failure}. {either}")
        return StepFailed(f"{failure}. {file} is as it was before, and NGINX is reloaded with it: nothing was switched")
