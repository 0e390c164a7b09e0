"""Number that a query finds in MongoDB, such as the length of a queue, held to a band."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from bson.decimal128 import Decimal128

from healthd.checks import mongodb_client as mongodb
from healthd.checks.band import number
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.mongodb_query_options import COUNTED, MongoDBQueryConfig
from healthd.model import FailureKind, Result

_ABSENT = object()


class MongoDBQuery:
    """Healthy when the query finds a number within all bounds. No document, and what is no number is unhealthy: nothing
    was measured; so is a collection that does not exist, in which MongoDB itself finds nothing without a word."""

    config_model: ClassVar[type[CheckConfig]] = MongoDBQueryConfig

    def __init__(self, config: MongoDBQueryConfig, context: CheckContext) -> None:
        self._config = config
        self._client = mongodb.Client(config.uri, config.timeout, config.driver)
        self._database, _, self._collection = config.collection.partition(".")

    async def probe(self) -> Result:
        try:
            client = await self._client.open()
            found = await self._ask(client, self._query())
            latency = self._client.latency
            if (found is _ABSENT or found == 0) and not await self._exists(client):
                return Result.unhealthy(FailureKind.MISCONFIGURED, f"there is no collection {self._config.collection}")
        except mongodb.FAILURES as error:
            return self._client.failure(error)
        return replace(judge(found, self._config), latency=latency)

    async def close(self) -> None:
        self._client.drop()

    def _query(self) -> dict[str, Any]:
        config = self._config
        stages = [*config.pipeline] if config.pipeline else [{"$match": config.filter}, {"$count": COUNTED}]
        return {
            "aggregate": self._collection,
            "pipeline": [*stages, {"$limit": 1}],
            "cursor": {"batchSize": 2},  # more than there are: the server keeps no cursor open
            "maxTimeMS": max(1, int(config.patience * 1000)),
        }

    async def _ask(self, client: Any, query: dict[str, Any]) -> Any:
        """Return what is in the field of the first document; _ABSENT without a document. Raises FAILURES."""
        preference = mongodb.PREFERENCES[self._config.require]
        answer = await client[self._database].command(query, read_preference=preference)
        documents = answer["cursor"]["firstBatch"]
        return documents[0].get(self._config.field) if documents else _ABSENT

    async def _exists(self, client: Any) -> bool:
        """True if the collection, or view, exists. Asks as an account that may read it alone is allowed to. Raises
        FAILURES."""
        preference = mongodb.PREFERENCES[self._config.require]
        only = {"nameOnly": True, "authorizedCollections": True, "filter": {"name": self._collection}}
        query: dict[str, Any] = {"listCollections": 1, **only}
        answer = await client[self._database].command(query, read_preference=preference)
        return bool(answer["cursor"]["firstBatch"])


def judge(found: object, config: MongoDBQueryConfig) -> Result:
    """Return the result for what a query found in a collection that exists."""
    if found is _ABSENT:
        empty = 0.0 if config.pipeline is None else config.empty
        if empty is None:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "the pipeline found no document")
        return config.judge(empty)
    value = number(found.to_decimal() if isinstance(found, Decimal128) else found)
    if value is None:
        what = "nothing" if found is None else f"a value of type {type(found).__name__}"
        text = f"the field {config.field} has {what}, which is no number"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text)
    return config.judge(value)
