"""Parts of a page: each is rendered again only when its data has changed, and records the number of that change.

A page is its parts combined; its followers are sent the parts that changed since.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """Part to render: `key` is all that it depends on, `draw` makes its HTML."""

    key: object
    draw: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rendered part; `change` is the number of the change that rendered it."""

    key: object
    html: str
    change: int


class Parts:
    """Parts of one page by the id of their element, and the order of those that are rows."""

    def __init__(self) -> None:
        self._drawn: dict[str, Drawn] = {}
        self._run = secrets.token_hex(4)  # distinguishes marks of another process, or of a page with a new layout
        self._change = 0
        self._order: tuple[str, ...] = ()
        self._reordered = 0

    def update(self, wanted: Mapping[str, Part], order: tuple[str, ...] = ()) -> None:
        """Render the parts that changed and drop those that are no longer wanted."""
        change = self._change + 1
        drawn = {name: self._draw(name, part, change) for name, part in wanted.items()}
        if order != self._order:
            self._order, self._reordered = order, change
        if self._reordered == change or any(part.change == change for part in drawn.values()):
            self._change = change
        self._drawn = drawn

    @property
    def mark(self) -> str:
        """Mark that a follower sends to get only later changes."""
        return f"{self._run}-{self._change}"

    @property
    def order(self) -> tuple[str, ...]:
        """Ids of the rows, first to last."""
        return self._order

    def __getitem__(self, name: str) -> str:
        """Return the HTML of a part. Raises KeyError."""
        return self._drawn[name].html

    def since(self, mark: str) -> dict[str, Any]:
        """Return the parts, and the order, that changed after a mark; all of them after an unknown one."""
        run, _, number = mark.partition("-")
        seen = int(number) if run == self._run and number.isdecimal() and len(number) < 19 else -1
        found: dict[str, Any] = {}
        if html := {name: part.html for name, part in self._drawn.items() if part.change > seen}:
            found["html"] = html
        if self._order and self._reordered > seen:
            found["order"] = self._order
        return found

    def _draw(self, name: str, part: Part, change: int) -> Drawn:
        before = self._drawn.get(name)
        return before if before is not None and before.key == part.key else Drawn(part.key, part.draw(), change)
