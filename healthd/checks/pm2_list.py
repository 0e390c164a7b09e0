"""List of processes as `pm2 jlist` prints it. No I/O here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def listed(text: str) -> Sequence[Mapping[str, Any]]:
    """Return PM2's processes. Other lines may come before the list, of which some begin with a bracket as well:
    `[PM2] Spawning PM2 daemon`. Raises ValueError."""
    for line in reversed(text.split("\n")):  # JSON leaves other ends of a line, as of a variable, as they are
        if line.startswith("["):
            try:
                found: Sequence[Mapping[str, Any]] = json.loads(line)
            except ValueError:
                continue
            return found
    raise ValueError("no list of processes")
