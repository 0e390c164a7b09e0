"""Steps of a release on the host. Their order, and the undo of each, is in `release.py`."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.units import show_duration
from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import archive
from healthd_deploy.host.backup import Backups
from healthd_deploy.host.folders import MARK, Folders, Unfinished
from healthd_deploy.host.prerequisites import met
from healthd_deploy.host.processes import Processes, application_environment
from healthd_deploy.host.settings import HostConfig, Migrations


@dataclass(frozen=True, slots=True)
class Standing:
    """State to which a deploy is put back: the release that had the traffic, and the one before it."""

    baseline: str | None
    previous: str | None
    unfinished: Unfinished | None = None


class Host:
    """One application on this host. Its methods establish a state: repeated calls do no harm."""

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self.folders = Folders(config.home)
        self.processes = Processes(config.pm2, config.health)
        self.backups = Backups(config)

    async def ready(self) -> str:
        """Check the prerequisites. Raises CouldNotAsk with what the host lacks."""
        return await met(self._config, self.processes)

    def is_settled(self, version: str) -> bool:
        """True if a version runs here, with no deploy in progress that could still be put back."""
        return self.folders.version() == version and self.folders.unfinished() is None

    def has_begun(self, key: str, version: str) -> bool:
        """True if this deploy was left once its switch had begun, after its migrations, and was not undone to the end:
        healthd may have put the release before back meanwhile."""
        left = self.folders.unfinished()
        return left is not None and (left.key, left.version) == (key, version)

    def is_left(self, key: str, version: str) -> bool:
        """True if this deploy was left after its switch: its version is current, and nothing was put back since."""
        return self.has_begun(key, version) and self.folders.version() == version

    def standing(self, version: str) -> Standing:
        """Return the state before `version` is released. After a deploy that was killed after its switch, it is the
        state before that one."""
        left = self.folders.unfinished()
        newest = (left.baseline, left.previous) if left else (self.folders.version(), self.folders.previous())
        before = [release for release in newest if release is not None and release != version]
        return Standing(before[0] if before else None, before[-1] if before else None, left)

    async def back_up(self, key: str, version: str, baseline: str | None) -> str:
        application = (baseline, self.folders.release(baseline)) if baseline else None
        return await self.backups.take(key, version, application)

    async def unpack(self, version: str) -> str:
        """Fetch, unpack, install; the release folder appears when all of it is done."""
        folders, source = self.folders, self._config.source
        folders.releases.mkdir(exist_ok=True)
        fresh = folders.releases / f".new-{uuid.uuid4().hex[:8]}"
        fresh.mkdir()
        try:
            file, found = await archive.fetch(source, version, fresh)
            if folders.is_whole(version):
                return self._known(version, found)
            inside = fresh / "release"
            inside.mkdir()
            await asyncio.to_thread(archive.unpack, file, inside, source.unpacked_at_most)
            self._share(inside)
            await self._installed(inside)
            (inside / MARK).write_text(json.dumps({"version": version, "sha256": found}))
            archive.remove(folders.release(version))  # without its mark: half removed
            inside.rename(folders.release(version))
            return f"SHA-256 {found[:12]}…"
        finally:
            archive.remove(fresh)

    async def migrate(self, migrations: Migrations, version: str) -> str:
        """Run the migrations in the new release's folder. Returns the last line of the output."""
        said = await program.run(migrations.argv, within=migrations.timeout, cwd=self.folders.release(version))
        return " / ".join(said.strip().splitlines()[-1:])

    async def migrate_back(self, undo: Sequence[str], within: float, version: str) -> None:
        await program.run(undo, within=within, cwd=self.folders.release(version))

    async def switch(self, key: str, version: str, standing: Standing) -> None:
        """Switch the links, then the processes. The state before is stored first."""
        async with self.folders.switching(self._config.rollback_within):
            self.folders.begin(Unfinished(key, version, standing.baseline, standing.previous))
            self.folders.point(current=version, previous=standing.baseline)
            await self.processes.reload()

    async def healthy(self, version: str) -> None:
        await self.processes.healthy(self.folders.release(version))

    async def put_back(self, standing: Standing) -> None:
        """Put the old release back, healthy, in time. Where none ran before, none runs; a state that is already right
        stays."""
        if self.folders.unfinished() is None:
            return
        await self._in_time(standing.baseline, self._put_back(standing.baseline, standing.previous))
        self.folders.finish()

    async def roll_back(self, to: str | None) -> str:
        """Roll back to the release before an unfinished deploy, else to `previous`, unless `to` names one."""
        wanted = await self.could_roll_back(to)
        await self._in_time(wanted, self._put_back(wanted, wanted))
        return wanted

    async def could_roll_back(self, to: str | None) -> str:
        """Return the release to which a rollback would return. Raises StepFailed where there is none, or where the
        application runs under another PM2."""
        left = self.folders.unfinished()
        wanted = to or (left.baseline if left else self.folders.previous())
        if wanted is None:
            raise StepFailed("there is no previous release to go back to")
        if not self.folders.is_whole(wanted):
            raise StepFailed(f"{self.folders.release(wanted)} is not there, or not whole")
        await self.processes.refuse_another()
        return wanted

    async def promoted(self) -> None:
        """Mark the deploy as finished, and have PM2 save its processes."""
        self.folders.finish()
        await self.processes.remembered()

    async def left_in_place(self, version: str) -> None:
        """Mark the deploy as finished though nothing passed it, where the version is current: no later deploy goes back
        behind it."""
        if self.folders.version() == version:
            await self.promoted()

    async def prune(self) -> None:
        await asyncio.to_thread(self.folders.prune, self._config.keep_releases)
        await asyncio.to_thread(self.backups.prune, self._config.backup.keep)

    async def _put_back(self, version: str | None, previous: str | None) -> None:
        async with self.folders.switching(self._config.rollback_within):
            if version is None:
                await self.processes.remove()
            self.folders.point(current=version, previous=previous)
            if version is not None:
                await self.processes.reload()
        if version is not None:
            await self.healthy(version)

    async def _in_time(self, version: str | None, work: Coroutine[Any, Any, None]) -> None:
        within = self._config.rollback_within
        try:
            async with asyncio.timeout(within):
                await work
        except TimeoutError:
            raise StepFailed(f"{version or 'nothing'} is not back within {show_duration(within)}") from None

    def _known(self, version: str, found: str) -> str:
        mark = json.loads((self.folders.release(version) / MARK).read_text())
        if mark["sha256"] != found:
            raise StepFailed(
                f"{self.folders.release(version)} is there already, from an archive with another SHA-256: "
                "give another version, or remove it if it is not current"
            )
        return "there already"

    def _share(self, inside: Path) -> None:
        for name in self._config.shared:
            archive.remove(inside / name)
            (inside / name).unlink(missing_ok=True)
            (inside / name).symlink_to(self._config.home / "shared" / name)

    async def _installed(self, inside: Path) -> None:
        install = self._config.install
        await program.run(install.argv, within=install.timeout, cwd=inside, env=application_environment())
