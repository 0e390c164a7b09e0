"""Wording of several things in one line."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 3


def listed(items: Sequence[str]) -> str:
    """Return the first of the items, and the number of the others."""
    rest = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
