"""File that NGINX includes: the live target of its upstream, and the version on each target. It is the only state."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from healthd.runtime.whole_file import beside, keep_room, refuse_full, replace_file
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx import by_hand
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State, mark, mark_of, state_of

_KEPT = "surrogateescape"  # each byte that is no UTF-8 is written as it was read


class _Foreign(StepFailed):
    """The file is an upstream with servers that are those of no target."""


class UpstreamFile:
    """Reads the file, and replaces it atomically."""

    def __init__(self, config: Upstream) -> None:
        self._config = config

    def read(self) -> State:
        """Read the state; of a file that a person wrote, by its servers. Raises StepFailed when there is no such file,
        or it does not tell which target is live."""
        if (content := self.content()) is None:
            raise StepFailed(f"there is no {self._config.file}: `healthd-deploy nginx switch` writes the first one")
        text = _shown(content)
        if (state := state_of(mark_of(text))) is not None and state.live in self._config.targets:
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
            text = (self.content() or b"").decode(errors=_KEPT)
            after = mark(replace(state, versions={**state.versions, target: version}))
            noted = text.replace(line, after, 1) if (line := mark_of(text)) else f"{after}\n{text}"
            self.replace(noted.encode(errors=_KEPT))

    def content(self) -> bytes | None:
        """Return what the file has, None where it is not there. Raises StepFailed."""
        try:
            return self._config.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StepFailed(f"{self._config.file} cannot be read: {error.strerror}") from None

    def line(self) -> str | None:
        """Return the line of the file with its state, or the first one of a person's; None where it is not there.
        Raises StepFailed."""
        if (content := self.content()) is None:
            return None
        text = _shown(content)
        return mark_of(text) or next((line for line in text.splitlines() if line.strip()), "")

    @property
    def lock(self) -> Path:
        """The file beside it that its writer has locked, hidden from an include of the whole folder."""
        return beside(self._config.file, "lock")

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

    def refuse_full(self, content: bytes) -> None:
        """Raise StepFailed where a content like this could not be written, or no room be kept for the way back. Changes
        nothing."""
        try:
            refuse_full(self._config.file, len(content))
        except OSError as error:
            raise StepFailed(f"{self._config.file} could not be written: {error.strerror}") from None

    def keep_room(self, content: bytes) -> None:
        """Keep room beside the file for one like this, so that a disk which is full then does not keep the traffic
        where it is. Raises StepFailed."""
        try:
            keep_room(self._config.file, len(content))
        except OSError as error:
            raise StepFailed(
                f"no room can be kept for the way back beside {self._config.file}: {error.strerror}"
            ) from None

    def put_back(self, before: bytes | None) -> None:
        """Put the file back to what it had before, or take it away where it was not there. Raises StepFailed."""
        try:
            if before is None:
                self._config.file.unlink(missing_ok=True)
            else:
                replace_file(self._config.file, before, uses_room=True)
        except OSError as error:
            raise StepFailed(f"{self._config.file} cannot be put back to what it was: {error.strerror}") from None

    def replace(self, content: bytes, *, uses_room: bool = False) -> None:
        """Replace the file in one step; it is on the disk when this returns. Raises StepFailed, with the file as it
        was, such as on a full disk, where it does not use the room that is kept."""
        try:
            replace_file(self._config.file, content, uses_room=uses_room)
        except OSError as error:
            raise StepFailed(f"{self._config.file} cannot be written: {error.strerror}") from None


def _shown(content: bytes) -> str:
    """Return the content as text, for people and as that of a program is read: a comment may have any encoding."""
    return content.decode(errors="replace")
