"""Places of keys in YAML trees: file and line, also where a tree was put together from several files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """File and line of a key; None as line where it is not known."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem with a file. Never holds a value, which might be a secret."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


def distinct(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems, one for each place: a mistake in a template is met in every entry that uses it."""
    first = {(each.file, each.line, each.message) if each.line else each: each for each in reversed(problems)}
    return [each for each in problems if each in first.values()]


class Layered(CommentedMap):
    """Mapping whose keys come from several places."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[Any, Place] = {}

    def put(self, key: Any, value: Any, place: Place) -> None:
        self[key] = value
        self.places[key] = place


class LayeredList(CommentedSeq):
    """List whose items come from several places."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] = []

    def put(self, value: Any, place: Place) -> None:
        self.append(value)
        self.places.append(place)


def mark(node: CommentedMap | CommentedSeq, key: str | int) -> int | None:
    """Return the line of one key or item; None for a key that a merge (`<<: *other`) added."""
    place = (node.lc.data or {}).get(key)  # None as data: of a mapping that has nothing but a merge
    return None if place is None else int(place[0]) + 1


def entries(node: CommentedMap, file: str) -> Iterator[tuple[Any, Any, Place]]:
    """Yield every key of a mapping with its value and place; `file` is where the mapping is written."""
    for key, value in node.items():
        yield key, value, _step(node, key, Place(file))


def place_of(tree: Any, location: KeyPath, file: str) -> Place:
    """Return the place of the deepest key of the location that the tree has; the file alone when it has none of
    them."""
    node, place = tree, Place(file)
    for step in location:
        if not has(node, step):
            break
        place = _step(node, step, place)
        node = node[step]
    return place


def has(node: Any, step: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(step, int) and step < len(node)
    return isinstance(node, dict) and step in node


def value_at(tree: Any, location: Sequence[str | int]) -> Any:
    """Return what is written at a location; None where that is nothing."""
    for step in location:
        if not has(tree, step):
            return None
        tree = tree[step]
    return tree


def _step(node: Any, key: Any, around: Place) -> Place:
    if isinstance(node, Layered | LayeredList):
        own = node.places[key]
        return own if own.line or own.file != around.file else around
    return Place(around.file, mark(node, key) or around.line)
