"""Parts of `config/full.yaml`, which is validated by tests, as examples of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

FULL = Path(__file__).parents[2] / "config" / "full.yaml"


def example(path: str, kind: str = "") -> str:
    """The lines at a path such as `services.NAME.source`, of the entry of that kind that shows most; empty if there is
    none."""
    found = [(line, node) for line, node in _places(_tree(), path.split(".")) if not kind or _is_of(node, kind)]
    if not found:
        return ""
    line, _ = max(found, key=lambda place: len(place[1]) if isinstance(place[1], CommentedMap) else 0)
    return _lines_from(line)


def _places(node: Any, path: list[str]) -> Iterator[tuple[int, Any]]:
    """The number of the line, and what stands there, for each place that the path may mean."""
    step, *rest = path
    many = step.endswith("[]")
    key = step.removesuffix("[]")
    if not isinstance(node, CommentedMap):
        return
    for name in list(node) if key == "NAME" else [key] if key in node else []:
        inner = node[name]
        if many and isinstance(inner, CommentedSeq):
            found = [(inner.lc.item(n)[0], item) for n, item in enumerate(inner)]
        else:
            found = [(node.lc.key(name)[0], inner)]
        for line, item in found:
            if rest:
                yield from _places(item, rest)
            else:
                yield line, item


def _is_of(node: Any, kind: str) -> bool:
    return isinstance(node, CommentedMap) and node.get("kind") == kind


def _lines_from(number: int) -> str:
    """A line and what is indented below it."""
    first, *rest = FULL.read_text(encoding="utf-8").splitlines()[number:]
    indent = len(first) - len(first.lstrip())
    lines = [first]
    for line in rest:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        lines.append(line)
    return dedent("\n".join(lines))


@cache
def _tree() -> CommentedMap:
    loaded: CommentedMap = YAML().load(FULL)
    return loaded
