"""Paths that begin with `~`: a shell makes the home of a user of it, and no shell reads the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from pydantic import BaseModel

from healthd.config.places import KeyPath

_PROGRAMS = ("argv", "dry_run", "test", "reload", "undo")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
_ELSEWHERE = ("ssh", "docker", "podman", "kubectl")  # whose words another shell reads


def unexpanded(value: object, where: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key of each path, and of each word of a program, that begins with `~`, with what to write."""
    match value:
        case BaseModel():
            for name, field in type(value).model_fields.items():
                key = (*where, field.alias or name)
                inside = getattr(value, name)
                yield from _words(inside, key) if name in _PROGRAMS else unexpanded(inside, key)
        case Mapping():
            for name, inside in value.items():
                yield from unexpanded(inside, (*where, name))
        case list() | tuple():
            for place, inside in enumerate(value):
                yield from unexpanded(inside, (*where, place))
        case Path() if str(value).startswith("~"):
            yield where, not_expanded(str(value))


def _words(argv: object, where: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield those words of a program that nothing will expand: neither a shell that it is, nor one elsewhere."""
    if not isinstance(argv, tuple) or not argv:
        return
    program = PurePath(argv[0]).name
    for place, word in enumerate(argv):
        if place and (program in _ELSEWHERE or (program in _SHELLS and word == "-c")):
            return
        if isinstance(word, str) and (word == "~" or word.startswith("~/")):
            yield (*where, place), not_expanded(word)


def not_expanded(path: str) -> str:
    """Return why a path that begins with `~` is none, and the cure."""
    user, _, rest = path.partition("/")
    home = f", such as ${{HOME}}/{rest}" if user == "~" else ""
    return f"{path} is not expanded, since no shell reads it: write the whole path{home}"
