"""Configuration that NGINX reads: whether it includes the file, where it writes its errors, and whether it runs at all.

`nginx -T` prints the whole configuration, each file as it is, with its comments. Source:
nginx.org/en/docs/switches.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

import psutil

from healthd_deploy.core import program
from healthd_deploy.core.exit import COULD_NOT_ASK, NothingSwitched, StepFailed
from healthd_deploy.nginx.settings import Upstream

_TEST, _PRINT = "-t", "-T"
_LOCAL = ("nginx", "sudo")
_COMMENT = re.compile(r"#.*")


class NotIncluded(NothingSwitched):
    """NGINX's configuration does not include the file: nothing would be switched."""

    code = COULD_NOT_ASK

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"NGINX's configuration does not include {file}, so that nothing would be switched: add `include {file};` "
            "to its http block"
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """NGINX's configuration as `nginx -T` prints it; an empty `text` is not known."""

    text: str = ""

    def refuse_without(self, lines: AbstractSet[str | None], file: Path) -> None:
        """Raise NotIncluded where none of the lines is part of it, of a file that is there."""
        if self.text and lines.isdisjoint(self.text.splitlines()):
            raise NotIncluded(file)

    def refuse_without_include(self, file: Path) -> None:
        """Raise NotIncluded where no `include` names a file that is not there yet. In a container its folder may have
        another name."""
        if self.text and not any(PurePath(file.name).match(PurePath(name).name) for name in self._all("include")):
            raise NotIncluded(file)

    @property
    def pid(self) -> str | None:
        """The file of its `pid` directive, None without one."""
        return self._first("pid")

    @property
    def errors(self) -> str:
        """Place where it writes its errors, for people."""
        return f"its error log {file}" if (file := self._first("error_log")) else "its error log"

    def _first(self, directive: str) -> str | None:
        """Return the first word of a directive that stands there first, as those of the whole server do."""
        return next(self._all(directive), None)

    def _all(self, directive: str) -> Iterator[str]:
        """Yield the first word of a directive wherever it stands."""
        for found in re.finditer(rf"(?:^|[;{{}}\s]){directive}\s+([^;\s]+)[^;]*;", _COMMENT.sub("", self.text)):
            yield found[1].strip("\"'")


async def read(config: Upstream) -> Configuration:
    """Return NGINX's configuration, printed by the command that tests it; nothing is known where that is no
    `nginx -t`, or may not print it."""
    if (words := printing(config.test)) is None:
        return Configuration()
    with suppress(StepFailed):
        return Configuration(await program.run(words, within=config.timeout))
    return Configuration()


def printing(test: Sequence[str]) -> list[str] | None:
    """Return the command that prints what this one tests, None where it is no `nginx -t`."""
    of = next((place for place, word in enumerate(test) if PurePath(word).name == "nginx"), None)
    if of is None or _TEST not in test[of:]:
        return None
    return [*test[:of], *(_PRINT if word == _TEST else word for word in test[of:])]


def stopped(config: Upstream, loaded: Configuration) -> str | None:
    """Return why no NGINX would take a reload, None where one runs, or where it is not known: in another container, or
    on another host."""
    if not loaded.text or PurePath(config.test[0]).name not in _LOCAL or PurePath(config.reload[0]).name not in _LOCAL:
        return None
    file = Path(loaded.pid) if loaded.pid is not None else config.pid
    if not file.is_absolute():
        return None
    try:
        text = file.read_text(encoding="ascii").strip()
        pid = int(text or 0)
    except FileNotFoundError:
        return f"NGINX is not running (there is no {file}): start it"
    except (OSError, ValueError):
        return None
    if not pid:  # a test of the configuration leaves an empty file where there is none
        return f"NGINX is not running ({file} is empty): start it"
    over = f"NGINX is not running ({file} has process {pid}, which is over): start it"
    return None if psutil.pid_exists(pid) else over
