"""Record of the version on each target: a file of the tool's own, replaced as a whole."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from healthd.runtime.whole_file import replace_file
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.misnamed import Misnamed


class Versions:
    """Versions by target. Methods raise StepFailed with a sentence that says what to do."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Mapping[str, str]:
        """Return the version of each target that has a known one; none where nothing was recorded yet."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StepFailed(f"{self._file} cannot be read: {error.strerror or error}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(version, str) for version in found.values()):
            raise StepFailed(f"{self._file} is no record of versions: move it away, and `switch --version` begins one")
        return found

    def note(self, target: str, version: str | None) -> None:
        """Record the version of a target, None for one that is not known."""
        try:
            with self._file.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                known = {**self.read(), target: version}
                noted = {each: found for each, found in known.items() if found is not None}
                replace_file(self._file, json.dumps(noted).encode() + b"\n")
        except OSError as error:
            raise StepFailed(f"{self._file} cannot be written: {error.strerror or error}") from None

    def check(self) -> None:
        """Raise StepFailed where nothing could be recorded: better now than after a release. A folder that is not
        there, or not this user's, is a mistake of the configuration."""
        self.read()
        folder = self._file.parent
        if not os.access(folder, os.W_OK):
            why = "may not be written to by this user" if folder.is_dir() else "is not there"
            said = f"{self._file} cannot be written: the folder {folder} {why}"
            raise Misnamed(("traffic", "versions"), said)
