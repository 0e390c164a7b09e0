"""Options that are indented too little, and so belong to the mapping around the one that they were meant for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from pydantic import BaseModel

from healthd.config.options import options_at
from healthd.config.places import KeyPath, value_at


def indented_too_little(model: type[BaseModel], tree: Any, where: KeyPath) -> str:
    """Return a suggestion for a key that is an option of what is written above it: `; is it an option of checks.redis?
    Then indent it as that one's options are`."""
    if where[-1] in options_at(model, tree, where[:-1]):
        return ""
    if (empty := _empty_above(tree, where)) is not None and options_at(model, tree, empty):
        return f"; is it an option of {'.'.join(map(str, empty))}? Then indent it below that"
    for above in _above(tree, where):
        if where[-1] in options_at(model, tree, above):
            return f"; is it an option of {'.'.join(map(str, above))}? Then indent it as that one's options are"
    return ""


def _empty_above(tree: Any, where: KeyPath) -> KeyPath | None:
    """Return the key with nothing below it that a row of single values follows, up to this one."""
    *path, key = where
    node = value_at(tree, path)
    names = list(takewhile(lambda each: each != key, node if isinstance(node, Mapping) else ()))
    while names and isinstance(node[names[-1]], str | int | float):
        names.pop()
    return (*path, names[-1]) if names and node[names[-1]] is None else None


def _above(tree: Any, where: KeyPath) -> Iterator[KeyPath]:
    """Yield the mapping that is written before a key, the last one in that, and so on."""
    *path, key = where
    node = value_at(tree, path)
    names: Iterable[Any] = takewhile(lambda each: each != key, node if isinstance(node, Mapping) else ())
    while inner := [name for name in names if isinstance(node[name], Mapping)]:
        path.append(inner[-1])
        yield tuple(path)
        node = names = node[inner[-1]]
