"""State of the traffic, in the first line of the file that NGINX includes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

MARK = "# healthd-deploy "


@dataclass(frozen=True, slots=True)
class State:
    """State: the live target, the version on each target, and the percentage of the traffic that the other target has
    beside the live one."""

    live: str
    versions: Mapping[str, str] = field(default_factory=dict)
    other: Annotated[float, Field(ge=0, le=100)] = 0.0

    def share(self, target: str) -> float:
        """Return the percentage of the traffic that a target has."""
        return 100.0 - self.other if target == self.live else self.other


_READS = TypeAdapter(State)


def mark(state: State) -> str:
    """Return the line of the file by which a state is read again."""
    part = {"other": state.other} if state.other else {}
    return MARK + json.dumps({"live": state.live, "versions": dict(state.versions), **part})


def mark_of(text: str) -> str:
    """Return the line of a file by which its state is read again, empty where there is none: what a person wrote may
    begin like one."""
    return next((line for line in text.splitlines() if state_of(line) is not None), "")


def state_of(line: str) -> State | None:
    """Return the state in a line that `mark` wrote, None where it is none."""
    if not line.startswith(MARK):
        return None
    try:
        return _READS.validate_json(line.removeprefix(MARK), strict=True)
    except ValidationError:
        return None
