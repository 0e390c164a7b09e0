"""Number that a query finds in MongoDB, such as the length of a queue, held to a band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from bson import json_util
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from healthd.checks import mongodb_client as mongodb
from healthd.checks.band import BandConfig, number
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import DatabaseConfig, Require
from healthd.checks.mongodb_driver import Driver, InstalledDriver
from healthd.model import FailureKind, Result
from healthd.units import Duration

_WRITES = ("$out", "$merge")
_VALUE = "value"
_ABSENT = object()


def _extended(value: Any) -> Any:
    """Return a value with what is written as MongoDB Extended JSON, such as `{$date: …}`, in its own type."""
    if isinstance(value, list | tuple):
        return [_extended(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    inner = {str(key): _extended(item) for key, item in value.items()}
    try:
        return json_util.object_hook(inner)
    except (BSONError, TypeError, ValueError, OverflowError, LookupError):
        raise ValueError(f"has a value of {', '.join(inner)} that MongoDB Extended JSON does not have") from None


Document = Annotated[dict[str, Any], AfterValidator(_extended)]


class MongoDBQueryConfig(DatabaseConfig, BandConfig):
    kind: Literal["mongodb_query"] = "mongodb_query"
    uri: mongodb.MongoDBURI
    """Address, as that of a check `mongodb`."""
    collection: mongodb.CollectionName
    """Collection as `database.collection`."""
    filter: Document | None = None
    """Query whose documents are counted; `{}` counts all. Values can be Extended JSON, such as `{$date: …}`."""
    pipeline: tuple[Document, ...] | None = Field(None, min_length=1, max_length=100)
    """Stages of an aggregation, instead of `filter`; the number is in the first document."""
    field: str = Field(_VALUE, min_length=1)
    """Field with the number in the document that `pipeline` finds."""
    empty: FiniteFloat | None = None
    """Number that counts where `pipeline` finds no document, as of an empty queue; by default that is unhealthy."""
    require: Require = Require.PRIMARY
    """Role of the member to ask: `primary`, `replica` (a secondary) or `any`."""
    driver: InstalledDriver = Driver.PYMONGO
    """Driver, as that of a check `mongodb`."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe; the server ends the query before it."""

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        if (self.filter is None) == (self.pipeline is None):
            raise ValueError("write filter, to count documents, or pipeline")
        if self.filter is not None and self.model_fields_set & {"field", "empty"}:
            raise ValueError("field and empty belong to pipeline: a filter counts, and finds 0 where nothing fits")
        for stage in self.pipeline or ():
            if written := [name for name in _WRITES if name in stage]:
                raise ValueError(f"{written[0]} writes: a check reads alone")
        return self


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
        stages = [*config.pipeline] if config.pipeline else [{"$match": config.filter}, {"$count": _VALUE}]
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
