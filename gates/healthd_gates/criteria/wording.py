"""How several things are told in one line."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 3


def listed(items: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    rest = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
