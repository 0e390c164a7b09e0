"""Evidence of a gate that is not stored yet: while the journal is away its looks go on, so that what they see is judged
look by look, and none of the time that the policy gives is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from healthd.journal.errors import JournalError
from healthd.runtime.clock import Clock
from healthd_gates.domain.evidence import Evidence
from healthd_gates.engine.recorder import Record
from healthd_gates.engine.step import Step
from healthd_gates.store.gate_update import SeenEvidence

MOST = 240
"""Looks that are kept: 20 minutes of one every 5 s. Then the gate waits, and the time after them is one report."""


class Backlog:
    """The looks of one stage of a gate since the last write began. One write is under way at a time. It is tried again
    as it is: if a commit's answer was lost, the commit counts. A gate that changed hands meanwhile is refused by the
    write, and what was seen of it goes with its runner.
    """

    def __init__(self, record: Record, stage: str, clock: Clock) -> None:
        self._record, self._stage, self._clock = record, stage, clock
        self._unstored: list[Evidence] = []
        self._writing: asyncio.Task[None] | None = None

    def take(self, evidence: Evidence) -> None:
        """Take the evidence of a look, for the next write."""
        self._unstored.append(evidence)

    @property
    def unstored(self) -> Sequence[Evidence]:
        """Evidence that no write has, oldest first."""
        return self._unstored

    @property
    def is_full(self) -> bool:
        """True if no more looks are to be taken before what was seen is stored."""
        return len(self._unstored) >= MOST

    def can_write(self) -> bool:
        """Return whether a write may begin; the one before is over. Raises LeaseLost if that was refused."""
        if self._writing is not None and self._writing.done():
            done, self._writing = self._writing, None
            done.result()
        return self._writing is None

    async def write(self, step: Step, *, within: float | None) -> None:
        """Begin to store a step with all that was seen; wait so many seconds for it, None: until it is stored. Raises
        LeaseLost."""
        seen = SeenEvidence(self._stage, self._unstored) if self._unstored else None
        self._unstored = []
        writing = self._record.write(step, self._clock.now(), seen)
        self._writing = asyncio.create_task(writing, name=f"look:{self._record.gate.id}")
        await asyncio.wait({self._writing}, timeout=within)
        self.can_write()

    async def write_within(self, step: Step, limit: float) -> None:
        """Store a step that holds only for so many seconds. Raises LeaseLost, and JournalError where it is not stored
        by then: whether it is, the journal knows once it is back."""
        await self.write(step, within=limit)
        if self._writing is not None:
            raise JournalError(f"a verdict was not stored within {limit:g} s, and holds no longer")

    async def settle(self) -> None:
        """Wait for the write that is under way, however long the journal is away. Raises LeaseLost."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
            self.can_write()

    async def close(self) -> None:
        """Give up a write that is under way; a transaction that has begun is still ended."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
