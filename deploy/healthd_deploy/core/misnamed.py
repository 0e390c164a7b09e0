"""Mistake of the configuration that only a platform finds, told with its place in the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from healthd.config.file import ConfigError, problem_at
from healthd_deploy.core.exit import COULD_NOT_ASK, DeployAborted, NothingSwitched


class Misnamed(NothingSwitched):
    """The configuration names what a platform does not have: `key` is the one that does."""

    code = COULD_NOT_ASK

    def __init__(self, key: Sequence[str | int], why: str) -> None:
        super().__init__(f"{'.'.join(map(str, key))}: {why}")
        self.key, self.why = key, why

    def in_file(self, file: Path, model: type[BaseModel]) -> DeployAborted:
        """Return it with the place of its key in the file."""
        try:
            return _Located(str(problem_at(file, model, os.environ, tuple(self.key), self.why)))
        except ConfigError:  # the file has changed since it was read
            return self


class _Located(NothingSwitched):
    """The configuration misnames something, told with its place in the file."""

    code = COULD_NOT_ASK
