"""A reply that is owed to a deploy tool which asked and hung up. Storing it is the business of `store.callbacks`,
delivering it that of `hooks.callback_worker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from healthd_gates.domain.evidence import Verdict
from healthd_gates.domain.request import VerifyRequest

FinalWord = Literal[Verdict.PASS, Verdict.FAIL]


class ReplyState(StrEnum):
    """How far a reply has come. `WAITING`: its gate runs. `DUE`: there is something to do at its next try."""

    DUE = "due"
    WAITING = "waiting"
    DONE = "done"
    GIVEN_UP = "given_up"

    @property
    def is_over(self) -> bool:
        return self in (ReplyState.DONE, ReplyState.GIVEN_UP)


@dataclass(frozen=True, slots=True)
class PendingCallback:
    """A reply that somebody has asked for. `address` says to whom, in the terms of the hook's kind; it holds no secret.

    Either `request` is the gate to start, or `why` says why the answer is no without one.
    """

    key: str
    hook: str
    address: Mapping[str, Any]
    request: VerifyRequest | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as stored. `word` is the answer where there is no gate to give it, and `why` the reason. `said` is the
    word that may have been heard already, `reports` how often progress was told.
    """

    key: str
    hook: str
    address: Mapping[str, Any]
    request: VerifyRequest | None
    word: FinalWord | None
    why: str | None
    gate_id: str | None
    state: ReplyState
    said: FinalWord | None
    reports: int
    tries: int
    detail: str
    created_at: datetime
    token: int
