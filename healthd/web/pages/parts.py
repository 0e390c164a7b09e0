"""The parts of a page: each is drawn again only when what it shows has changed, and knows which change that was.

A page is its parts put together; whoever follows it is sent the parts that changed since.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it should be: `key` is all that it depends on, `draw` makes its HTML."""

    key: object
    draw: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One part as it is; `change` is the number of the change that made it so."""

    key: object
    html: str
    change: int


class Parts:
    """The parts of one page by the id of their element, and the order of those that are rows."""

    def __init__(self) -> None:
        self._drawn: dict[str, Drawn] = {}
        self._run = secrets.token_hex(4)  # tells marks of another process, or of a page that was laid out anew
        self._change = 0
        self._order: tuple[str, ...] = ()
        self._reordered = 0

    def update(self, wanted: Mapping[str, Part], order: tuple[str, ...] = ()) -> None:
        """Draw what has changed and drop what is no longer wanted."""
        change = self._change + 1
        drawn = {name: self._draw(name, part, change) for name, part in wanted.items()}
        if order != self._order:
            self._order, self._reordered = order, change
        if self._reordered == change or any(part.change == change for part in drawn.values()):
            self._change = change
        self._drawn = drawn

    @property
    def mark(self) -> str:
        """What a follower shows to be sent only what came after."""
        return f"{self._run}-{self._change}"

    @property
    def order(self) -> tuple[str, ...]:
        """The ids of the rows, first to last."""
        return self._order

    def __getitem__(self, name: str) -> str:
        """The HTML of a part. Raises KeyError."""
        return self._drawn[name].html

    def since(self, mark: str) -> dict[str, Any]:
        """The parts, and the order, that changed after a mark; all of them after one that is not known."""
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
