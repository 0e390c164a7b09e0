"""The API's documents about deploy locks and the quarantine. The client reads the same models."""

from __future__ import annotations

from typing import Self

from healthd_gates.domain.gate import DeployLock, QuarantinedVersion
from healthd_gates.schema.document import Moment, Shown


class LockDocument(Shown):
    """A deploy lock: only `holder` may start a gate for the service until it ends."""

    service: str
    holder: str
    until: Moment
    reason: str
    caller: str

    @classmethod
    def of(cls, lock: DeployLock) -> Self:
        return cls(service=lock.service, holder=lock.holder, until=lock.until, reason=lock.reason, caller=lock.caller)


class LocksDocument(Shown):
    locks: list[LockDocument]


class QuarantinedDocument(Shown):
    """A version that failed a gate and is refused until someone releases it."""

    service: str
    version: str
    gate: str
    since: Moment
    reason: str

    @classmethod
    def of(cls, kept: QuarantinedVersion) -> Self:
        return cls(service=kept.service, version=kept.version, gate=kept.gate_id, since=kept.since, reason=kept.reason)


class QuarantineDocument(Shown):
    versions: list[QuarantinedDocument]
