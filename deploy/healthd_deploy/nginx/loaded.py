"""Configuration that NGINX reads: whether it includes the file, uses the upstream, and where it writes its errors.

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

from healthd_deploy.core import program
from healthd_deploy.core.exit import COULD_NOT_ASK, NothingSwitched, StepFailed
from healthd_deploy.nginx.settings import Upstream

_TEST, _PRINT = "-t", "-T"
_COMMENT = re.compile(r"(?<![^\s;{}])#.*")
_PASS = re.compile(r"(?<![^;{}\s])(\w+_pass)\s+([^;]+);")
_HOST = re.compile(r"^(?:\w+://)?([^/:?]*).*", re.DOTALL)
_SHOWN = 3  # directives, in a message
_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)


class NotIncluded(NothingSwitched):
    """NGINX's configuration does not include the file: nothing would be switched."""

    code = COULD_NOT_ASK

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"NGINX's configuration does not include {file}, so that nothing would be switched: add `include {file};` "
            "to its http block"
        )


class NotUsed(NothingSwitched):
    """Nothing of NGINX's configuration sends requests to the upstream: nothing would be switched."""

    code = COULD_NOT_ASK

    def __init__(self, name: str, passes: Sequence[str]) -> None:
        instead = f", only {', '.join(passes)}" if passes else ""
        super().__init__(
            f"nothing in NGINX's configuration sends requests to the upstream {name}{instead}, so that nothing would "
            f"be switched: write `proxy_pass http://{name};` (or `fastcgi_pass {name};` and the like) in its location"
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

    def refuse_unused(self, name: str) -> None:
        """Raise NotUsed where no directive passes requests to the upstream. One with a variable may do so."""
        found = _PASS.findall(_COMMENT.sub("", self.text))
        passes = {goal.strip().strip("\"'"): directive for directive, goal in found}
        if not self.text or any("$" in goal for goal in passes):
            return
        if name.lower() not in {_HOST.sub(r"\1", goal).lower() for goal in passes}:
            raise NotUsed(name, [f"{directive} {goal}" for goal, directive in passes.items()][:_SHOWN])

    @property
    def file(self) -> Path | None:
        """The file that it begins with, None where that is not known."""
        return next(map(Path, self.files), None)

    @property
    def files(self) -> Sequence[str]:
        """The files that it consists of, as NGINX names them."""
        return _FILE.findall(self.text)

    @property
    def pid(self) -> str | None:
        """The file of its `pid` directive, None without one."""
        return self._first("pid")

    @property
    def errors(self) -> str:
        """Place where it writes its errors, for people."""
        return f"its error log {file}" if (file := self._first("error_log")) else "its error log"

    def values(self, directive: str) -> Sequence[str]:
        """Return what stands behind a directive, wherever it stands."""
        return re.findall(rf"(?:^|[;{{}}])\s*{directive}\s+([^;{{}}]+);", _COMMENT.sub("", self.text))

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


def place_of_nginx(test: Sequence[str]) -> int | None:
    """Return the place of the program `nginx` in a command, None where it has none."""
    return next((place for place, word in enumerate(test) if PurePath(word).name == "nginx"), None)


def printing(test: Sequence[str]) -> list[str] | None:
    """Return the command that prints what this one tests, None where it is no `nginx -t`."""
    of = place_of_nginx(test)
    if of is None or _TEST not in test[of:]:
        return None
    return [*test[:of], *(_PRINT if word == _TEST else word for word in test[of:])]
