"""The contract of a dialect whose tool starts a gate, disconnects, and expects a callback. `hooks.callback_worker`
decides when to call.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from healthd_gates.domain.callback import FinalWord


class Receipt(StrEnum):
    """Outcome of one attempt. `RETRY`: another one may succeed. `REFUSED`: no other one would."""

    TAKEN = "taken"
    RETRY = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Result of one attempt to call a tool back. `after` is the least number of seconds before the next one; `heard` is
    True if the tool may have accepted it in spite of an error: then no other answer may follow."""

    receipt: Receipt
    detail: str
    after: float = 0.0
    heard: bool = True


class Correspondent(Protocol):
    """Calls one kind of tool back.

    `wait_timeout` is the number of seconds that a gate may wait until it can start, `retry_for` the number of seconds
    for which an answer is retried, from when it is known. `excuse` returns why the answer is yes with nothing judged,
    or None if a gate is needed. `target_groups` returns the names or ARNs of the new version's, where numbers are
    counted by those. `tell` makes one attempt to deliver the verdict, `report` one to report progress, which may be
    lost. An exception counts as a failed attempt; a Refusal from either look refuses the gate.
    """

    wait_timeout: float
    retry_for: float

    async def excuse(self, address: Mapping[str, Any]) -> str | None: ...

    async def target_groups(self, address: Mapping[str, Any]) -> Collection[str]: ...

    async def tell(self, address: Mapping[str, Any], word: FinalWord, text: str) -> Delivery: ...

    async def report(self, address: Mapping[str, Any], text: str) -> None: ...

    async def close(self) -> None: ...
