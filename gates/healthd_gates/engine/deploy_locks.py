"""Deploy locks and the quarantine, as callers ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from healthd_gates.config.settings import Config
from healthd_gates.domain.gate import DeployLock, QuarantinedVersion
from healthd_gates.engine.refusals import journal_refusals
from healthd_gates.engine.validation import known_service
from healthd_gates.store.locks import LockStore


class DeployLocks:
    """Deploy locks and quarantined versions. Every method may raise `JournalUnavailable`."""

    def __init__(self, lock_store: LockStore, in_force: Callable[[], Config]) -> None:
        self._lock_store, self._in_force = lock_store, in_force

    async def take(
        self,
        service: str,
        *,
        holder: str,
        seconds: float,
        reason: str,
        caller: str,
        runs: frozenset[str] | None = None,
    ) -> DeployLock:
        """Take the deploy lock, or prolong it for the same holder: with `runs` only where its reason is one of them.
        Raises UnknownService, Locked. Of a service that a reload has removed its holder prolongs it: that one's deploy
        may be under way."""
        if service not in (config := self._in_force()).services and not await self._has(service, holder):
            known_service(service, config)
        with journal_refusals():
            return await self._lock_store.lock(service, holder, seconds, reason, caller, runs=runs)

    async def release(self, service: str, *, holder: str, caller: str) -> None:
        """Release the deploy lock. Raises LockNotHeld."""
        with journal_refusals():
            await self._lock_store.unlock(service, holder, caller)

    async def _has(self, service: str, holder: str) -> bool:
        return any((lock.service, lock.holder) == (service, holder) for lock in await self.held())

    async def held(self) -> Sequence[DeployLock]:
        """Return the deploy locks that are held now."""
        with journal_refusals():
            return await self._lock_store.locks()

    async def quarantined(self) -> Sequence[QuarantinedVersion]:
        """Return the versions that failed and were not let out."""
        with journal_refusals():
            return await self._lock_store.quarantined()

    async def let_out(self, service: str, version: str, *, caller: str, reason: str) -> None:
        """Let a version out of quarantine. Raises NotQuarantined."""
        with journal_refusals():
            await self._lock_store.unquarantine(service, version, caller, reason)
