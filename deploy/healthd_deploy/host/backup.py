"""Backups before a release: a dated folder with the application and the databases, visible when it is complete."""

from __future__ import annotations

import asyncio
import json
import shutil
import tarfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthd.runtime.whole_file import replace_file
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import dumps
from healthd_deploy.host.settings import HostConfig

_MANIFEST = "backup.json"
_PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class Taken:
    """One backup: the deploy that made it, and its contents. `files` are bytes by name."""

    key: str
    before: str
    application: str | None
    taken_at: str
    files: dict[str, int]


class Backups:
    """Backups of one application."""

    def __init__(self, config: HostConfig) -> None:
        self._config, self._folder = config, config.backups

    def listed(self) -> list[tuple[Path, Taken]]:
        """Return the complete ones, the newest first."""
        folders = self._folder.iterdir() if self._folder.is_dir() else ()
        found = [(each, taken) for each in folders if (taken := _manifest(each)) is not None]
        return sorted(found, key=lambda one: one[1].taken_at, reverse=True)

    async def take(self, key: str, before: str, application: tuple[str, Path] | None) -> str:
        """Make one backup per deploy: that of a killed run is from before the deploy, and is kept. Returns what to
        report."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder, taken in self.listed():
            if (taken.key, taken.before) == (key, before):
                return f"taken already: {folder}"
        for left in self._folder.glob(f"{_PARTIAL}*"):  # of a deploy that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial = self._folder / f"{_PARTIAL}{uuid.uuid4().hex[:8]}"
        partial.mkdir(mode=0o700)
        try:
            return await self._taken(partial, key, before, application)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def prune(self, keep: int) -> None:
        """Remove the oldest backups beyond `keep`."""
        for folder, _ in self.listed()[keep:]:
            (folder / _MANIFEST).unlink()  # half removed, it must not count as complete
            shutil.rmtree(folder)

    async def _taken(self, partial: Path, key: str, before: str, application: tuple[str, Path] | None) -> str:
        backup, now = self._config.backup, datetime.now(UTC)
        if application is not None:
            archive = partial / "application.tar.gz"
            await asyncio.to_thread(_archive, application[1], archive, backup.without)
        if backup.postgresql is not None:
            await dumps.postgresql(backup.postgresql, partial / "postgresql.dump")
        if backup.mongodb is not None:
            await dumps.mongodb(backup.mongodb, partial / "mongodb.archive.gz")
        files = {file.name: file.stat().st_size for file in sorted(partial.iterdir())}
        taken = Taken(key, before, application[0] if application else None, now.isoformat(timespec="seconds"), files)
        replace_file(partial / _MANIFEST, json.dumps(asdict(taken), indent=2).encode())
        folder = self._folder / f"{now:%Y-%m-%dT%H-%M-%SZ}-before-{before}-{partial.name.removeprefix(_PARTIAL)}"
        partial.rename(folder)
        return str(folder)


def _manifest(folder: Path) -> Taken | None:
    """Return the contents; None for a folder that is no backup, or not a complete one."""
    if folder.name.startswith("."):
        return None
    try:
        taken = Taken(**json.loads((folder / _MANIFEST).read_text(encoding="utf-8")))
        sizes = {name: (folder / name).stat().st_size for name in taken.files}
    except (OSError, ValueError, TypeError):
        return None
    return taken if sizes == taken.files else None


def _archive(folder: Path, archive: Path, without: Sequence[str]) -> None:
    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if Path(member.name).name in without else member

    try:
        with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
            tar.add(folder, arcname=folder.name, filter=wanted)
    except OSError as error:
        raise StepFailed(f"{folder} cannot be backed up: {error}") from None
