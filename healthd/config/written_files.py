"""Files of a configuration that may be being written: read once they have settled, and looked at afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from healthd.config.file import ConfigError, load, settings_of, text_of, texts_of
from healthd.config.places import Problem

_BETWEEN_LOOKS = 0.1  # seconds
_SETTLED, _LOOKS = 10, 100  # looks in a row that find no change; looks until it is given up
ModelT = TypeVar("ModelT", bound=BaseModel)


class WrittenFiles(Generic[ModelT]):
    """A file and those that it includes; None is the embedded defaults. Its methods block."""

    def __init__(self, path: Path | None, model: type[ModelT], environ: Mapping[str, str]) -> None:
        self.path, self._model, self._environ = path, model, environ
        self._read: object = None

    def load(self) -> ModelT:
        """Return the settings once the files have stood still for a second, as half of one may be valid too: their
        texts, looked at where a size or a time has changed, and at the end. Raises ConfigError, also where they change
        for 10 s."""
        if self.path is None:
            return load(None, self._model, self._environ)
        found = self._look(self.path)
        stamps, still = _stamps(self.path, found[1]), 0
        for _ in range(_LOOKS):
            time.sleep(_BETWEEN_LOOKS)
            before, stamps, last = stamps, _stamps(self.path, found[1]), found
            still += 1
            if stamps == before and still < _SETTLED:
                continue
            self._read = found = self._look(self.path)
            if found != last:
                still = 0
            elif still >= _SETTLED:  # else it was written anew as it was
                _, texts, problems = found
                if problems:
                    raise ConfigError(problems)
                return settings_of(texts, self._model, self._environ)
        raise ConfigError([Problem(str(self.path), None, "", "changes all the time: reload once it is written")])

    def changed(self) -> bool:
        """True if the files are not as `load` read them."""
        if self.path is None:
            return False
        return self._look(self.path) != self._read

    def _look(self, path: Path) -> tuple[str, dict[str, str], list[Problem]]:
        """Return the text of a file, and with those that it includes, or the problems of reading them."""
        text = ""
        try:
            text = text_of(path)
            return text, texts_of(path, self._model, self._environ), []
        except ConfigError as error:
            return text, {}, error.problems


def _stamps(path: Path, texts: Iterable[str]) -> list[object]:
    """Return what changes with a file, of each; None for one that is away."""
    found: list[object] = []
    for file in {str(path): None, **dict.fromkeys(texts)}:
        try:
            it = Path(file).stat()
            found.append((it.st_mtime_ns, it.st_size, it.st_ino))
        except OSError:
            found.append(None)
    return found
