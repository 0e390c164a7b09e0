"""Migrations of a release: from a list in the configuration, or from the files of a folder."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

# Values of `status` for a migration that was applied, that failed, and that was undone on purpose.
DONE = ("completed", "success", "applied", "done", "executed")
FAILED = ("failed", "error", "dirty")
UNDONE = ("rolled_back", "reverted", "undone")

_SHA256 = re.compile(r"[0-9a-f]{64}")


def normal_checksum(text: str) -> str:
    """Return hexadecimal digits in lower case, without the prefix `sha256:` that some tools add."""
    return text.strip().lower().removeprefix("sha256:")


def _checksum(text: str) -> str:
    if not _SHA256.fullmatch(normal_checksum(text)):
        raise ValueError("a checksum is a sha-256 in 64 hexadecimal digits, as `sha256sum FILE` prints it")
    return normal_checksum(text)


class Expected(BaseModel):
    """Migration that must have been applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Name in the history, or name of its file: `001_users.sql` is also known as `001_users`."""
    checksum: Annotated[str, AfterValidator(_checksum)] | None = None
    """SHA-256 checksum of the migration that must have been run."""

    @property
    def known_as(self) -> tuple[str, ...]:
        return self.name, Path(self.name).stem, self.name.partition(".")[0]


class UnreadableError(Exception):
    """The folder of migrations cannot be read, or contains none."""


class Directory:
    """Reads the files of a release again at each probe, since a deploy replaces them.

    Uses a daemon thread, never two at once: a folder on a dead network file system blocks for ever.
    """

    def __init__(self, path: Path, pattern: str) -> None:
        self._path, self._pattern = path, pattern
        self._flight: asyncio.Future[tuple[Expected, ...]] | None = None

    async def read(self) -> tuple[Expected, ...]:
        """Return one migration per file, with its checksum. Raises UnreadableError."""
        if self._flight is None or self._flight.done():
            loop = asyncio.get_running_loop()
            self._flight = loop.create_future()
            self._flight.add_done_callback(lambda flight: flight.exception())  # the caller may have been cancelled
            threading.Thread(target=self._run, args=(loop, self._flight), name="migrations", daemon=True).start()
        return await asyncio.shield(self._flight)

    def _run(self, loop: asyncio.AbstractEventLoop, flight: asyncio.Future[tuple[Expected, ...]]) -> None:
        try:
            found = self._files()
            if not found:
                raise UnreadableError(f"no file in {self._path} matches {self._pattern}")
        except OSError as error:
            failure = UnreadableError(f"{self._path} cannot be read: {error.strerror or type(error).__name__}")
            self._settle(loop, flight.set_exception, failure)
        except UnreadableError as error:
            self._settle(loop, flight.set_exception, error)
        else:
            self._settle(loop, flight.set_result, tuple(found))

    def _files(self) -> list[Expected]:
        if not self._path.is_dir():
            raise UnreadableError(f"{self._path} is not a directory")
        files = (path for path in sorted(self._path.glob(self._pattern)) if not path.name.startswith("."))
        return [Expected(name=path.name, checksum=_digest(path)) for path in files if path.is_file()]

    def _settle(self, loop: asyncio.AbstractEventLoop, settle: Callable[[Any], None], value: object) -> None:
        with suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(settle, value)


def duplicates(expected: Iterable[Expected]) -> list[str]:
    """Return names that occur in a list twice."""
    return [name for name, count in Counter(item.name for item in expected).items() if count > 1]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
