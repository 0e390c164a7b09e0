"""Deploy locks and quarantine: they keep a gate from starting until a person releases them. Every change is audited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from healthd.journal.database import Database
from healthd.journal.journal import AuditEntry, write_audit
from healthd_gates.domain.errors import Locked, LockNotHeld, NotQuarantined
from healthd_gates.domain.gate import DeployLock, QuarantinedVersion
from healthd_gates.store.tables import deploy_locks, quarantine


class LockStore:
    """Stores deploy locks and the quarantine. Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock(
        self,
        service: str,
        holder: str,
        seconds: float,
        reason: str,
        caller: str,
        *,
        runs: frozenset[str] | None = None,
    ) -> DeployLock:
        """Take the lock, or prolong it for the same holder: with `runs` only where its reason is one of them. Raises
        Locked."""
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, f"service {service}")
            moment = await self._database.moment(connection)
            query = sa.select(deploy_locks).where(deploy_locks.c.service == service)
            row = (await connection.execute(query)).one_or_none()
            is_ours = row is not None and row.holder == holder and (runs is None or row.reason in runs)
            if row is not None and row.until > moment and not is_ours:
                raise Locked(service=service, holder=row.holder, until=row.until, reason=row.reason)
            until = moment + timedelta(seconds=seconds)
            values = {"holder": holder, "until": until, "reason": reason, "caller": caller}
            if row is None:
                await connection.execute(sa.insert(deploy_locks).values(service=service, **values))
            else:
                await connection.execute(
                    sa.update(deploy_locks).where(deploy_locks.c.service == service).values(**values)
                )
            detail = {"holder": holder, "until": until.isoformat(), "reason": reason}
            await write_audit(connection, moment, AuditEntry(caller, "lock.take", service, detail))
        return DeployLock(service, holder, until, reason, caller)

    async def unlock(self, service: str, holder: str, caller: str) -> None:
        """Release the lock. Raises LockNotHeld."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            mine = sa.and_(
                deploy_locks.c.service == service, deploy_locks.c.holder == holder, deploy_locks.c.until > moment
            )
            if (await connection.execute(sa.delete(deploy_locks).where(mine))).rowcount == 0:
                raise LockNotHeld(service=service, holder=holder)
            await write_audit(connection, moment, AuditEntry(caller, "lock.give_back", service, {"holder": holder}))

    async def locks(self) -> Sequence[DeployLock]:
        """Return the locks that are valid now."""
        async with self._database.read() as connection:
            moment = await self._database.moment(connection)
            query = sa.select(deploy_locks).where(deploy_locks.c.until > moment).order_by(deploy_locks.c.service)
            rows = (await connection.execute(query)).all()
        return [DeployLock(row.service, row.holder, row.until, row.reason, row.caller) for row in rows]

    async def quarantined_of(self, service: str) -> frozenset[str]:
        """Return the quarantined versions of one service."""
        of = sa.select(quarantine.c.version).where(quarantine.c.service == service)
        async with self._database.read() as connection:
            return frozenset((await connection.execute(of)).scalars())

    async def quarantined(self) -> Sequence[QuarantinedVersion]:
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(quarantine).order_by(quarantine.c.since.desc()))).all()
        return [QuarantinedVersion(row.service, row.version, row.gate_id, row.since, row.reason) for row in rows]

    async def unquarantine(self, service: str, version: str, caller: str, reason: str) -> None:
        """Release a version from quarantine. Raises NotQuarantined."""
        async with self._database.write() as connection:
            one = sa.and_(quarantine.c.service == service, quarantine.c.version == version)
            if (await connection.execute(sa.delete(quarantine).where(one))).rowcount == 0:
                raise NotQuarantined(service=service, version=version)
            moment = await self._database.moment(connection)
            detail = {"version": version, "reason": reason}
            await write_audit(connection, moment, AuditEntry(caller, "version.unquarantine", service, detail))
