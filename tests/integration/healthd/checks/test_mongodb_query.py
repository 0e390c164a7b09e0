"""The mongodb_query check, against a server that speaks MongoDB's protocol."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pydantic import ValidationError

from healthd.checks.mongodb_driver import Driver
from healthd.checks.mongodb_query_options import MongoDBQueryConfig
from healthd.model import FailureKind, Measure, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import mongodb, mongodb_peer
from tests.servers.mongodb_peer import primary

UNEXPECTED = FailureKind.UNEXPECTED_RESPONSE
LONG: dict[str, Any] = {"timeout": "30s", "interval": "30s"}
BAND: dict[str, Any] = {"degraded": {"above": 2}, "unhealthy": {"above": 10}}
WAITING = {"$match": {"state": "waiting"}}
TOTAL = {"$group": {"_id": None, "value": {"$sum": "$size"}}}


@pytest.fixture
def collection(mongodb_uri: str) -> Any:
    """Three orders that wait, one of them of today, and one that is done; the first has no size."""
    now = datetime.now(UTC)
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client[f"shop{uuid4().hex[:8]}"]["orders"]
        days = (9, 5, 0)
        orders.insert_many([{"state": "waiting", "at": now - timedelta(days=day), "size": day} for day in days])
        orders.insert_one({"state": "done", "at": now, "size": "large"})
        yield orders.full_name
        client.drop_database(orders.database)


@pytest.mark.parametrize("driver", list(Driver))
@pytest.mark.parametrize(
    ("query", "status", "kind", "said"),
    [
        ({"filter": {"state": "waiting"}}, Status.DEGRADED, FailureKind.THRESHOLD, "3 is above 2"),
        ({"filter": {"state": "done"}}, Status.HEALTHY, None, "1"),
        ({"filter": {"state": "lost"}}, Status.HEALTHY, None, "0"),
        ({"filter": {"at": {"$lt": {"$date": "2020-01-01T00:00:00Z"}}}}, Status.HEALTHY, None, "0"),
        ({"filter": {"at": {"$gt": {"$date": "2020-01-01T00:00:00Z"}}}}, Status.DEGRADED, FailureKind.THRESHOLD, "4"),
        ({"pipeline": [WAITING, TOTAL]}, Status.UNHEALTHY, FailureKind.THRESHOLD, "14 is above 10"),
        (
            {"pipeline": [{"$match": {"state": "lost"}}, TOTAL]},
            Status.UNHEALTHY,
            UNEXPECTED,
            "the pipeline found no document",
        ),
        ({"pipeline": [{"$match": {"state": "lost"}}, TOTAL], "empty": 0}, Status.HEALTHY, None, "0"),
        (
            {"pipeline": [{"$match": {"state": "done"}}], "field": "size"},
            Status.UNHEALTHY,
            UNEXPECTED,
            "the field size has a value of type str, which is no number",
        ),
        (
            {"pipeline": [WAITING]},
            Status.UNHEALTHY,
            UNEXPECTED,
            "the field value has nothing, which is no number",
        ),
        ({"pipeline": [{"$oops": 1}]}, Status.UNHEALTHY, UNEXPECTED, ""),
    ],
)
async def test_truth_table(
    mongodb_uri: str,
    collection: str,
    driver: Driver,
    query: dict[str, Any],
    status: Status,
    kind: FailureKind | None,
    said: str,
) -> None:
    """Each answer twice: a failure leaves nothing behind that the next probe meets."""
    async with watched(
        "mongodb_query", uri=mongodb_uri, collection=collection, driver=driver, **query, **BAND, **LONG
    ) as check:
        for _ in range(2):
            result = await check.look()
            assert (result.status, result.kind) == (status, kind), result
            assert result.message.startswith(said)
            if kind in (None, FailureKind.THRESHOLD):
                assert result.measures == (Measure("value", result.observed["value"]),)  # type: ignore[arg-type]


async def test_a_collection_that_is_not_there(mongodb_uri: str, collection: str) -> None:
    """A slip of the pen in its name is not an empty queue; an empty collection is one."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        database, _, _ = collection.partition(".")
        client[database].create_collection("quiet")
        ask = partial(watched, "mongodb_query", uri=mongodb_uri, filter={}, **BAND, **LONG)
        async with ask(collection=f"{database}.order") as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
            assert result.message == f"there is no collection {database}.order"
        async with ask(collection=f"{database}.quiet") as check:
            await check.finds(Status.HEALTHY)


async def test_mongods_own_count_of_nothing() -> None:
    """`mongod` answers `$count` of nothing with no document, where the tests' server has one with 0."""
    none: dict[str, Any] = {"ok": 1.0, "cursor": {"firstBatch": [], "id": 0, "ns": "shop.orders"}}
    async with mongodb_peer.peer({"hello": primary(), "aggregate": none, "listCollections": none}) as peer:
        ask = partial(watched, "mongodb_query", uri=peer.uri, collection="shop.orders", **BAND, **LONG)
        async with ask(filter={}) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        zero = none | {"cursor": {**none["cursor"], "firstBatch": [{"value": 0}]}}  # as $facet has it of no collection
        peer.answer("aggregate", zero)
        async with ask(pipeline=[{"$facet": {"all": [{"$count": "n"}]}}]) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        peer.answer("aggregate", none)
        async with ask(filter={}) as check:
            peer.answer("listCollections", none | {"cursor": {**none["cursor"], "firstBatch": [{"name": "orders"}]}})
            assert (await check.finds(Status.HEALTHY)).observed == {"value": 0.0}


async def test_failures_are_those_of_the_server() -> None:
    """A login that is refused, a time that is over at the server, and silence."""
    with mongodb.primary(authenticates=True) as guarded:
        uri = guarded.uri_with("watcher", "marked-s3cret")
        async with watched("mongodb_query", uri=uri, collection="shop.orders", filter={}, **BAND, **LONG) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.AUTH)
    over = {"ok": 0.0, "errmsg": "operation exceeded time limit", "code": 50, "codeName": "MaxTimeMSExpired"}
    asked: list[Any] = []

    def answer(command: Any) -> dict[str, Any]:
        asked.append(command)
        return over

    async with mongodb_peer.peer({"hello": primary()}) as peer:
        peer.answer("aggregate", answer)
        ask = partial(watched, "mongodb_query", uri=peer.uri, collection="shop.orders", filter={"a": 1}, **BAND)
        async with ask(timeout="10s") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert asked[0]["pipeline"] == [{"$match": {"a": 1}}, {"$count": "value"}, {"$limit": 1}]
            assert 0 < asked[0]["maxTimeMS"] <= 9900
        peer.answer("aggregate", None)
        async with ask(timeout="1200ms") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "write filter, to count documents, or pipeline"),
        ({"filter": {}, "pipeline": [WAITING]}, "write filter, to count documents, or pipeline"),
        ({"filter": {}, "empty": 1}, "field and empty belong to pipeline"),
        ({"pipeline": [WAITING, {"$out": "other"}]}, "writes: a check reads alone"),
        ({"pipeline": [{"$merge": {"into": "other"}}]}, "writes: a check reads alone"),
        ({"filter": {"at": {"$date": "yesterday"}}}, "Extended JSON"),
        ({"filter": {"_id": {"$oid": "x"}}}, "Extended JSON"),
        ({"filter": {}, "collection": "orders"}, "String should match pattern"),
        ({"filter": {}, "degraded": None}, "write degraded or unhealthy"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    base = {"uri": "mongodb://localhost/", "collection": "shop.orders", "degraded": {"above": 1}}
    with pytest.raises(ValidationError, match=reason):
        MongoDBQueryConfig.model_validate({**base, **options})
