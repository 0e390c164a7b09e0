"""File that NGINX includes: the live target of its upstream, and the version on each target. It is the only state."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx import by_hand
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import MARK, State, mark, mark_of


class _Foreign(StepFailed):
    """The file is an upstream with servers that are those of no target."""


class UpstreamFile:
    """Reads the file, and replaces it atomically."""

    def __init__(self, config: Upstream) -> None:
        self._config = config

    def read(self) -> State:
        """Read the state; of a file that a person wrote, by its servers. Raises StepFailed when there is no such file,
        or it does not tell which target is live."""
        try:
            text = self._config.file.read_text(encoding="utf-8")
        except OSError as error:
            first = "`healthd-deploy nginx switch` writes the first one"
            raise StepFailed(f"{self._config.file} cannot be read: {error.strerror}; {first}") from None
        if line := mark_of(text):
            state = State(**json.loads(line.removeprefix(MARK)))
            if state.live in self._config.targets:
                return state
        found = by_hand.servers(text, self._config.name)
        if found and (live := by_hand.target(found, self._config.targets)) is not None:
            return State(live)
        names = f"{self._config.file} names none of the targets {', '.join(self._config.targets)}"
        if found is None:
            alone = f"upstream.file must have the upstream {self._config.name} alone, for the tool replaces it whole"
            raise StepFailed(f"{names}: {alone}. Move what it has to another file, or take it away")
        its = f", only the servers {', '.join(found)}" if found else ""
        cure = "`healthd-deploy nginx switch` with the target that has the traffic replaces it"
        raise _Foreign(f"{names}{its}: {cure}")

    def replaceable(self) -> State | None:
        """Return the state of a file that is there, None where a switch replaces one that tells no target."""
        try:
            return self.read()
        except _Foreign:
            return None

    def noted(self, target: str, version: str) -> None:
        """Record the version on a target. The directives stay those that NGINX has accepted."""
        with self.locked():
            state = self.read()
            text = self._config.file.read_text(encoding="utf-8")
            after = mark(replace(state, versions={**state.versions, target: version}))
            self.replace((text.replace(line, after, 1) if (line := mark_of(text)) else f"{after}\n{text}").encode())

    def content(self) -> bytes | None:
        """Return what the file has, None where it is not there."""
        return self._config.file.read_bytes() if self._config.file.exists() else None

    def line(self) -> str | None:
        """Return the line of the file with its state, or the first one of a person's; None where it is not there."""
        if not self._config.file.exists():
            return None
        text = self._config.file.read_text(encoding="utf-8")
        return mark_of(text) or next((line for line in text.splitlines() if line.strip()), "")

    @property
    def lock(self) -> Path:
        """The file beside it that its writer has locked."""
        return self._config.file.with_suffix(".lock")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Allow one writer at a time: a deploy and a rollback by the daemon may run at once."""
        file = self.lock
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = file.open("a")
        except OSError as error:
            raise StepFailed(
                f"{file} cannot be written: {error.strerror}. It needs the rights of that folder"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def put_back(self, before: bytes | None) -> None:
        """Put the file back to what it had before, or take it away where it was not there."""
        if before is None:
            self._config.file.unlink(missing_ok=True)
        else:
            self.replace(before)

    def replace(self, content: bytes) -> None:
        """Replace the file in one step; it is on the disk when this returns."""
        written = self._config.file.with_suffix(".new")
        with written.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.replace(self._config.file)
