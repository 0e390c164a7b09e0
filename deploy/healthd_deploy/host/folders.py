"""Home folder of the application: releases, the links `current` and `previous`, the locks, and the target of a
rollback.

releases/1.1/  releases/1.2/  current -> releases/1.2  previous -> releases/1.1  .deploy.json
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from healthd.runtime.whole_file import replace_file
from healthd_deploy.core.exit import CouldNotAsk, StepFailed

MARK = ".healthd-release.json"  # in a complete release


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Deploy between its switch and its end, with the state before it, to which an undo returns."""

    key: str
    version: str
    baseline: str | None
    previous: str | None


class Folders:
    """Folders of an application. Every change is atomic, even when the tool is killed."""

    def __init__(self, home: Path) -> None:
        self.home, self.releases, self.current = home, home / "releases", home / "current"
        self._previous, self._record = home / "previous", home / ".deploy.json"

    def claim(self) -> None:
        """Lock this host for one deploy until this process ends: the kernel releases the lock however it ends."""
        place = self.home / ".deploy.lock"
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)  # never closed
        if not _locked(lock):
            raise CouldNotAsk(f"another deploy is under way on this host: it holds {place}")
        for left in self.releases.glob(".new-*"):  # of a deploy that was killed
            shutil.rmtree(left, ignore_errors=True)

    @asynccontextmanager
    async def switching(self, within: float) -> AsyncIterator[None]:
        """Lock links and processes while one deploy, or one rollback by the daemon, changes them."""
        with (self.home / ".switch.lock").open("w") as lock:
            try:
                async with asyncio.timeout(within):
                    while not _locked(lock.fileno()):  # noqa: ASYNC110 - by another process
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise StepFailed(f"another switch did not end within {within:g} s: it holds {lock.name}") from None
            yield

    def release(self, version: str) -> Path:
        return self.releases / version

    def is_whole(self, version: str) -> bool:
        return (self.release(version) / MARK).is_file()

    def version(self) -> str | None:
        """Return the release that `current` points to."""
        return _pointed(self.current)

    def previous(self) -> str | None:
        """Return the release that `previous` points to."""
        return _pointed(self._previous)

    def point(self, *, current: str | None, previous: str | None) -> None:
        """Replace both links, each in one step. `previous` first: a kill between the two loses nothing."""
        for link, version in ((self._previous, previous), (self.current, current)):
            if version is None:
                link.unlink(missing_ok=True)
            elif not self.is_whole(version):
                raise StepFailed(f"{self.release(version)} is not there, or not whole")
            else:
                _replace_link(link, Path("releases") / version)

    def unfinished(self) -> Unfinished | None:
        """Return the deploy that was neither promoted nor put back. Raises StepFailed when that cannot be known."""
        try:
            return Unfinished(**json.loads(self._record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StepFailed(f"{self._record} cannot be read: {error}; look at it, and remove it") from None

    def begin(self, deploy: Unfinished) -> None:
        replace_file(self._record, json.dumps(asdict(deploy)).encode())

    def finish(self) -> None:
        self._record.unlink(missing_ok=True)

    def prune(self, keep: int) -> None:
        """Remove the oldest releases, except those that a link points to."""
        stay = {self.version(), self.previous()}
        whole = [folder for folder in self.releases.iterdir() if (folder / MARK).is_file()]
        whole.sort(key=lambda folder: (folder / MARK).stat().st_mtime, reverse=True)
        for folder in whole[keep:]:
            if folder.name not in stay:
                (folder / MARK).unlink()  # half removed, it must not count as complete
                shutil.rmtree(folder)


def _replace_link(link: Path, to: Path) -> None:
    written = link.with_name(f".{link.name}-{uuid.uuid4().hex[:8]}")
    written.symlink_to(to)
    written.replace(link)


def _pointed(link: Path) -> str | None:
    try:
        return link.readlink().name
    except FileNotFoundError:
        return None
    except OSError:
        raise StepFailed(f"{link} is not a link: move the application to {link.parent}/releases/VERSION") from None


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
