"""Looks at what a switch would do, before anything is done."""

from __future__ import annotations

import os

from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx import directives, in_force
from healthd_deploy.nginx.able import refuse_unable
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.upstream_file import UpstreamFile


class Rehearsal:
    """Asks all that a switch would, of the targets and of NGINX."""

    def __init__(self, config: Upstream) -> None:
        self._config, self._file = config, UpstreamFile(config)

    async def look(self, target: str, weight: float = 100.0) -> str:
        """Return what a switch would do now. Changes nothing; raises as the switch would."""
        await refuse_unable(self._config, target, weight)
        is_there = self._config.file.exists()
        before = self._file.replaceable() if is_there else None
        live = before.live if before is not None else "no target" if is_there else "nothing"
        if not os.access(self._config.file.parent, os.W_OK):
            raise StepFailed(f"{self._config.file.parent} cannot be written to as this user")
        program.find(self._config.reload[0])
        await self._tested_before(before)
        if weight not in (0.0, 100.0) or (before is not None and before.other):
            now = f", which has {before.share(target):g} %" if before is not None else ""
            return f"{weight:g} % of the traffic would go to {target}{now}"
        goal = target if weight else self._config.beside(target)
        return f"{goal} has the traffic" if live == goal else f"the traffic would go from {live} to {goal}"

    async def _tested_before(self, before: State | None) -> None:
        """Have NGINX check its configuration. Raises StepFailed where it does not include the file, though that may not
        be there yet, which NGINX then complains of."""
        try:
            await program.run(self._config.test, within=self._config.timeout)
        except StepFailed as failed:
            if before is None and str(self._config.file) in str(failed):
                return
            raise
        configuration = await in_force.checked(self._config, self._file)
        if before is None:
            configuration.refuse_without_include(self._config.file)
            await in_force.refuse_unused(self._config, configuration)

    async def could_take_back(self, target: str) -> None:
        """Check that a target which has all of the traffic could get it again: its servers answer, and NGINX accepts
        the file that a switch would write. Where that differs from what is there, NGINX checks it in its place."""
        await refuse_unable(self._config, target)
        with self._file.locked():
            before = self._config.file.read_bytes()
            back = directives.written(
                self._config, directives.with_share(self._config, self._file.read(), target, 100.0)
            )
            await in_force.checked(self._config, self._file)
            if back != before:
                self._file.replace(back)
            try:
                await program.run(self._config.test, within=self._config.timeout)
            finally:
                if back != before:
                    self._file.put_back(before)
