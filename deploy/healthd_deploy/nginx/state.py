"""State of the traffic, in the first line of the file that NGINX includes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

MARK = "# healthd-deploy "


@dataclass(frozen=True, slots=True)
class State:
    """State: the live target, the version on each target, and the percentage of the traffic that the other target has
    beside the live one."""

    live: str
    versions: Mapping[str, str] = field(default_factory=dict)
    other: float = 0.0

    def share(self, target: str) -> float:
        """Return the percentage of the traffic that a target has."""
        return 100.0 - self.other if target == self.live else self.other


def mark(state: State) -> str:
    """Return the line of the file by which a state is read again."""
    part = {"other": state.other} if state.other else {}
    return MARK + json.dumps({"live": state.live, "versions": dict(state.versions), **part})


def mark_of(text: str) -> str:
    """Return the line of a file by which its state is read again, empty where there is none."""
    return next((line for line in text.splitlines() if line.startswith(MARK)), "")
