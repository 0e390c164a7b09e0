"""Looks at what a switch would do, before anything is done."""

from __future__ import annotations

import os

from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx import directives, in_force
from healthd_deploy.nginx.able import refuse_unable
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.trial import refuse_unacceptable
from healthd_deploy.nginx.upstream_file import UpstreamFile


class Rehearsal:
    """Asks all that a switch would, of the targets and of NGINX. The file stays what it is, in every instant."""

    def __init__(self, config: Upstream) -> None:
        self._config, self._file = config, UpstreamFile(config)

    async def look(self, target: str, weight: float = 100.0) -> str:
        """Return what a switch would do now, and what could not be looked at. Changes nothing; raises as the switch
        would."""
        await refuse_unable(self._config, target, weight)
        is_there = self._file.content() is not None
        before = self._file.replaceable() if is_there else None
        live = before.live if before is not None else "no target" if is_there else "nothing"
        if not os.access(self._config.file.parent, os.W_OK):
            raise StepFailed(f"{self._config.file.parent} cannot be written to as this user")
        program.find(self._config.reload[0])
        configuration = await self._tested_before(before)
        left = None
        if before is not None:
            self._file.refuse_full(directives.written(self._config, before))
            left = await self._tried(configuration, directives.with_share(self._config, before, target, weight))
        return "; ".join(filter(None, (self._what(before, live, target, weight), left)))

    def _what(self, before: State | None, live: str, target: str, weight: float) -> str:
        """Return what a switch would do, for people."""
        if weight not in (0.0, 100.0) or (before is not None and before.other):
            now = f", which has {before.share(target):g} %" if before is not None else ""
            return f"{weight:g} % of the traffic would go to {target}{now}"
        goal = target if weight else self._config.beside(target)
        return f"{goal} has the traffic" if live == goal else f"the traffic would go from {live} to {goal}"

    async def _tested_before(self, before: State | None) -> Configuration:
        """Have NGINX check its configuration, and return it. Raises StepFailed where it does not include the file,
        though that may not be there yet, which NGINX then complains of."""
        try:
            await in_force.tested(self._config)
        except StepFailed as failed:
            if before is None and str(self._config.file) in str(failed):
                return Configuration()
            raise
        configuration = await in_force.checked(self._config, self._file)
        if before is None:
            configuration.refuse_without_include(self._config.file)
            await in_force.refuse_unused(self._config, configuration)
        return configuration

    async def could_take_back(self, target: str) -> str | None:
        """Check that a target which has all of the traffic could get it again: its servers answer, and NGINX accepts
        the file that a switch would write. Return what could not be looked at, for people."""
        await refuse_unable(self._config, target)
        before = self._file.read()
        self._file.refuse_full(directives.written(self._config, before))
        configuration = await in_force.checked(self._config, self._file)
        await in_force.tested(self._config)
        return await self._tried(configuration, directives.with_share(self._config, before, target, 100.0))

    async def _tried(self, configuration: Configuration, after: State) -> str | None:
        """Have NGINX check what a switch would write, where that differs from what is there."""
        wanted = directives.written(self._config, after)
        if wanted == self._file.content():
            return None
        return await refuse_unacceptable(self._config, configuration, wanted)
