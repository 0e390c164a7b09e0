"""MongoDB: role and replica set of the member that answers, and the replication lag of a secondary."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from pymongo import ReadPreference, ReturnDocument, WriteConcern

from healthd.checks import mongodb_client as mongodb
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import Require
from healthd.checks.mongodb_options import MongoDBConfig
from healthd.model import FailureKind, Result, Status
from healthd.units import show_duration

_QUIET = 15.0  # seconds: an idle primary writes a no-op every 10 s (periodicNoopIntervalSecs)


class MongoDB:
    """Sends `hello` to the member that fits `require`."""

    config_model: ClassVar[type[CheckConfig]] = MongoDBConfig

    def __init__(self, config: MongoDBConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._client = mongodb.Client(config.uri, config.timeout, config.driver)
        self._version: str | None = None
        self._document = f"healthd:{socket.gethostname()}:{context.name}"

    async def probe(self) -> Result:
        preference = mongodb.PREFERENCES[self._config.require]
        try:
            client = await self._client.open()
            hello = await client.admin.command("hello", read_preference=preference)
            latency = self._client.latency
            if self._version is None:
                with suppress(*mongodb.FAILURES):
                    build = await client.admin.command("buildInfo", read_preference=preference)
                    self._version = build.get("version")
        except mongodb.FAILURES as error:
            self._version = None  # after a restart it may have another version
            return self._client.failure(error)
        result = judge(hello, self._version, self._config, self._client.set_name, latency, self._clock.now())
        if result.kind in (FailureKind.NOT_PRIMARY, FailureKind.READ_ONLY, FailureKind.UNEXPECTED_RESPONSE):
            self._client.drop()  # after a failover the name resolves to another host: look it up again
        if self._config.canary is not None and result.status is not Status.UNHEALTHY:
            return await self._with_canary(client, self._config.canary, hello, result)
        return result

    async def _with_canary(self, client: Any, canary: str, hello: Mapping[str, Any], result: Result) -> Result:
        """Return `result`, unless the storage of the server fails to write, or read, one document."""
        database, _, name = canary.partition(".")
        try:
            if _role(hello) == "secondary":
                secondary = client[database].get_collection(name, read_preference=ReadPreference.SECONDARY)
                await secondary.find_one({"_id": self._document})
                return result
            collection = client[database].get_collection(name, write_concern=WriteConcern("majority"))
            value = secrets.token_hex(8)
            change = {"$set": {"value": value}, "$currentDate": {"at": True}}
            found = await collection.find_one_and_update(
                {"_id": self._document}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
        except mongodb.FAILURES as error:
            failure = self._client.failure(error)
            text = f"it says that it is well, and the canary fails: {failure.message}"
            return replace(failure, message=text, latency=result.latency, observed=result.observed)
        if found is None or found.get("value") != value:
            text = "the canary that was just written reads differently"
            kind = FailureKind.UNEXPECTED_RESPONSE
            return Result.unhealthy(kind, text, latency=result.latency, observed=result.observed)
        return result

    async def close(self) -> None:
        self._client.drop()


def judge(
    hello: Mapping[str, Any],
    version: str | None,
    config: MongoDBConfig,
    set_name: str | None,
    latency: float | None,
    now: datetime | None = None,
) -> Result:
    """Return the result for the worst state of a member that answered `hello`."""
    role, lag = _role(hello), _lag(hello, now)
    seen: dict[str, Any] = {"role": role, "version": version, "setName": hello.get("setName")}
    if lag is not None:
        seen["lagSeconds"] = round(lag, 3)

    def bad(kind: FailureKind, text: str) -> Result:
        return Result.unhealthy(kind, text, latency=latency, observed=seen)

    if set_name is not None and hello.get("setName") != set_name and role != "mongos":
        belongs = f"replica set {hello['setName']!r}" if hello.get("setName") else "no replica set"
        return bad(FailureKind.UNEXPECTED_RESPONSE, f"belongs to {belongs}; the URI names {set_name!r}")
    writable = bool(hello.get("isWritablePrimary", hello.get("ismaster")))
    if config.require is Require.PRIMARY and not writable:
        return bad(FailureKind.NOT_PRIMARY, f"a member in state {role} where a primary is required")
    if config.require is Require.PRIMARY and hello.get("readOnly"):
        return bad(FailureKind.READ_ONLY, "a primary that takes no writes")
    if config.require is Require.REPLICA and role != "secondary":
        return bad(FailureKind.UNEXPECTED_RESPONSE, f"a member in state {role} where a secondary is required")
    if config.require is Require.ANY and not writable and role != "secondary":
        return bad(FailureKind.NOT_PRIMARY, f"a member in state {role}, which serves nobody")
    if lag is not None and lag > max(config.max_lag, _QUIET):
        return bad(FailureKind.LAGGING, f"{lag:.1f} s behind the primary (at most {show_duration(config.max_lag)})")
    return Result.healthy(latency=latency, observed=seen)


def _role(hello: Mapping[str, Any]) -> str:
    if hello.get("msg") == "isdbgrid":
        return "mongos"
    if hello.get("secondary"):
        return "secondary"
    if hello.get("arbiterOnly"):
        return "arbiter"
    if not hello.get("isWritablePrimary", hello.get("ismaster")):
        return "recovering"
    return "primary" if hello.get("setName") else "standalone"


def _lag(hello: Mapping[str, Any], now: datetime | None) -> float | None:
    """Return the seconds since the last write that a secondary has; None for others, or when it does not report it.

    The write has the primary's time. Its age is measured by two clocks, the secondary's and this host's `now`: a single
    wrong clock must not look like a lag.
    """
    last, local = (hello.get("lastWrite") or {}).get("lastWriteDate"), hello.get("localTime")
    if not hello.get("secondary") or not isinstance(last, datetime) or not isinstance(local, datetime):
        return None
    seen = local if now is None else min(local, now.replace(tzinfo=local.tzinfo))
    return max(0.0, float((seen - last).total_seconds()))
