"""What a dialect brings along whose tool asks, hangs up, and wants to be called back. When that is done is the business
of `hooks.callback_worker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from healthd_gates.domain.callback import FinalWord


class Receipt(StrEnum):
    """What became of one try. `RETRY`: another one may succeed. `REFUSED`: no other one would."""

    TAKEN = "taken"
    RETRY = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to tell a tool something. `after` is the fewest seconds to the next one; `heard` whether the tool may
    have taken it in spite of all: then no other word may follow."""

    receipt: Receipt
    detail: str
    after: float = 0.0
    heard: bool = True


class Correspondent(Protocol):
    """Calls one kind of tool back.

    `wait_timeout` is the number of seconds that a gate may wait until it can start, `retry_for` the number of seconds
    for which an answer is tried.
    `excuse` says why the answer is yes with nothing judged, or None where a gate is needed. `tell` tries once to bring
    the verdict, `report` once to say how it goes, which may be lost. What they raise counts as a try that failed.
    """

    wait_timeout: float
    retry_for: float

    async def excuse(self, address: Mapping[str, Any]) -> str | None: ...

    async def tell(self, address: Mapping[str, Any], word: FinalWord, text: str) -> Delivery: ...

    async def report(self, address: Mapping[str, Any], text: str) -> None: ...

    async def close(self) -> None: ...
