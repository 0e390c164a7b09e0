"""Port through which health reads rollbacks that need a person: the worst possible state, shown in the headline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthd.units import stamp


@dataclass(frozen=True, slots=True)
class Trouble:
    """Rollback that did not end well. `state` is its name in the API, `word` the one for people; `gate` is the id of
    its gate, `address` the page about that."""

    service: str
    version: str
    state: str
    word: str
    sentence: str
    since: datetime
    gate: str
    address: str


Troubles = Callable[[], Sequence[Trouble]]
"""Function that returns the known rollbacks, the newest first. Neither blocks nor fails."""


def none() -> Sequence[Trouble]:
    """Return the rollbacks of a daemon without gates."""
    return ()


def trouble_document(trouble: Trouble, *, detailed: bool) -> dict[str, Any]:
    """Return one entry of `rollbacks` in `GET /health`."""
    document: dict[str, Any] = {"service": trouble.service, "state": trouble.state, "since": stamp(trouble.since)}
    if detailed:
        document |= {"version": trouble.version, "gate": trouble.gate, "message": trouble.sentence}
    return document
