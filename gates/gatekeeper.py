"""What the gatekeeper does for its callers: the shape that the web layer and the command line talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from gates.gate import DeployLock, Gate, GateEvent, GateState, Page, QuarantinedVersion
from gates.model import Verdict
from gates.request import PushedEvidence, VerifyRequest


class Gatekeeper(Protocol):
    """Every method raises a `gates.refusals.Refusal` when it says no; `JournalUnavailable` from any of them."""

    async def start(self, request: VerifyRequest, *, caller: str, idempotency_key: str | None = None) -> Gate:
        """Store a gate and run it. The same key with the same request gives the same gate."""

    async def get(self, gate_id: str) -> Gate:
        """Raises UnknownGate."""

    async def list(
        self,
        *,
        service: str | None = None,
        states: Sequence[GateState] = (),
        limit: int = 50,
        before: str | None = None,
    ) -> Page:
        """Newest first; no `states` means all."""

    async def wait(self, gate_id: str, seconds: float) -> Gate:
        """The gate once it is answered, or as it stands after `seconds`; whichever replica runs it."""

    def events(self, gate_id: str, after: int = 0) -> AsyncIterator[GateEvent]:
        """The gate's log from the event after `after` on, until the gate is over."""

    async def cancel(self, gate_id: str, *, caller: str, reason: str) -> Gate:
        """End an undecided gate or a watch. Raises AlreadyDecided."""

    async def resolve(self, gate_id: str, verdict: Verdict, *, caller: str, reason: str) -> Gate:
        """A person's decision, pass or fail, on a held gate. Raises AlreadyDecided."""

    async def push(self, gate_id: str, evidence: PushedEvidence, *, caller: str) -> None:
        """Raises NotPushed, AlreadyDecided."""

    async def rollback(self, gate_id: str, *, caller: str, reason: str) -> Gate:
        """A person pulls the cord; once only. Raises NothingToRollBack."""

    async def lock(self, service: str, *, holder: str, seconds: float, reason: str, caller: str) -> DeployLock:
        """Take the deploy lock, or prolong it for the same holder. Raises Locked, UnknownService."""

    async def unlock(self, service: str, *, holder: str, caller: str) -> None:
        """Raises LockNotHeld."""

    async def locks(self) -> Sequence[DeployLock]: ...

    async def quarantine(self) -> Sequence[QuarantinedVersion]: ...

    async def release(self, service: str, version: str, *, caller: str, reason: str) -> None:
        """Let a quarantined version try again. Raises NotQuarantined."""
