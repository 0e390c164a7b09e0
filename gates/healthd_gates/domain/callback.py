"""A callback to a deploy tool that started a gate and disconnected. `store.callbacks` stores it,
`hooks.callback_worker` delivers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from healthd_gates.domain.request import VerifyRequest
from healthd_gates.domain.standing import Verdict

FinalWord = Literal[Verdict.PASS, Verdict.FAIL]


class ReplyState(StrEnum):
    """State of a callback. `WAITING`: its gate runs. `DUE`: its next attempt has something to do."""

    DUE = "due"
    WAITING = "waiting"
    DONE = "done"
    GIVEN_UP = "given_up"

    @property
    def is_over(self) -> bool:
        return self in (ReplyState.DONE, ReplyState.GIVEN_UP)


@dataclass(frozen=True, slots=True)
class PendingCallback:
    """A callback that a tool has asked for. `address` is the receiver, in the terms of the hook's kind; it holds no
    secret.

    Either `request` is the gate to start, or `why` is the reason for answering no without one.
    """

    key: str
    hook: str
    address: Mapping[str, Any]
    request: VerifyRequest | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A callback as stored. `word` is the answer if there is no gate to give it, `why` the reason, and `word_at` the
    time from which on it is delivered. `said` is the answer that may have been received already, `reports` the number
    of progress reports sent, `tries` the number of attempts in a row that failed at the present step.
    """

    key: str
    hook: str
    address: Mapping[str, Any]
    request: VerifyRequest | None
    word: FinalWord | None
    why: str | None
    word_at: datetime | None
    gate_id: str | None
    state: ReplyState
    said: FinalWord | None
    reports: int
    tries: int
    detail: str
    created_at: datetime
    token: int
