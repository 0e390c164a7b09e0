"""Paths into a JSON document: dotted (`checks.db.status`, `items.0.id`, `items.-1` for the last) or a JSON pointer
(`/a.b/0`, RFC 6901)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

ABSENT: Final = object()
"""Result where nothing is found."""
_INDEX = re.compile(r"-?[0-9]{1,9}")


def steps_of(path: str) -> list[str]:
    """Return the names and places on the way; none for the document itself."""
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".") if path else []


def path_of(steps: Sequence[str]) -> str:
    """Return the path of these names and places: dotted, or a pointer where a name has a dot or could be misread."""
    if steps and all(step and "." not in step for step in steps) and not steps[0].startswith("/"):
        return ".".join(steps)
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def follow(node: Any, steps: Iterable[str]) -> Any:
    """Return what is at the end of the way, or ABSENT."""
    for step in steps:
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and _INDEX.fullmatch(step) and -len(node) <= int(step) < len(node):
            node = node[int(step)]
        else:
            return ABSENT
    return node
