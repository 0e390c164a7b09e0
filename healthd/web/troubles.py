"""The port through which health learns of rollbacks that want a person: the worst that can be, and worth a headline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthd.web.documents import stamp


@dataclass(frozen=True, slots=True)
class Trouble:
    """A rollback that did not end well. `state` is what the API calls it, `word` what people do; `gate` is the id of
    the gate that called for it, `address` the page about that."""

    service: str
    version: str
    state: str
    word: str
    sentence: str
    since: datetime
    gate: str
    address: str


Troubles = Callable[[], Sequence[Trouble]]
"""Those that are known now, the newest first. Neither blocks nor fails."""


def none() -> Sequence[Trouble]:
    """What a daemon without gates knows."""
    return ()


def trouble_document(trouble: Trouble, *, detailed: bool) -> dict[str, Any]:
    """One entry of `rollbacks` in `GET /health`."""
    document: dict[str, Any] = {"service": trouble.service, "state": trouble.state, "since": stamp(trouble.since)}
    if detailed:
        document |= {"version": trouble.version, "gate": trouble.gate, "message": trouble.sentence}
    return document
