"""How the mongodb check judges what a member and the driver say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from pymongo import errors

from healthd.checks.mongodb import judge
from healthd.checks.mongodb_client import Client
from healthd.checks.mongodb_driver import Driver
from healthd.checks.mongodb_options import MongoDBConfig
from healthd.model import FailureKind, Result, Status
from tests.servers import tcp

URI = SecretStr("mongodb://host/")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRIMARY = {"isWritablePrimary": True, "secondary": False, "setName": "rs0", "localTime": NOW}
SECONDARY = {**PRIMARY, "isWritablePrimary": False, "secondary": True}


def judged(hello: dict[str, Any], set_name: str | None = "rs0", **options: Any) -> Result:
    return judge(hello, "7.0", MongoDBConfig(uri=URI, **options), set_name, latency=0.001)


def outcome(result: Result) -> tuple[Status, FailureKind | None]:
    return result.status, result.kind


def written(seconds_ago: float) -> dict[str, Any]:
    return {"lastWrite": {"lastWriteDate": NOW - timedelta(seconds=seconds_ago)}}


def test_idle_primary_does_not_make_a_lagging_secondary() -> None:
    """An idle primary writes every ten seconds: up to that is no lag, however strict the limit."""
    assert outcome(judged(SECONDARY | written(9), require="replica", max_lag="1s")) == (Status.HEALTHY, None)
    assert outcome(judged(SECONDARY | written(31), require="any")) == (Status.UNHEALTHY, FailureKind.LAGGING)
    assert outcome(judged(PRIMARY | written(3600))) == (Status.HEALTHY, None)
    assert judged(SECONDARY | written(-1), require="any").observed["lagSeconds"] == 0.0


def test_set_name_is_compared_only_when_the_uri_has_one() -> None:
    """A member of another set is somebody else's data; a router belongs to none."""
    other = judged(PRIMARY, set_name="rs1")
    assert outcome(other) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert other.message == "belongs to replica set 'rs0'; the URI names 'rs1'"
    assert outcome(judged(PRIMARY, set_name=None)) == (Status.HEALTHY, None)
    assert outcome(judged({"isWritablePrimary": True, "msg": "isdbgrid"})) == (Status.HEALTHY, None)


@pytest.mark.parametrize(
    ("hello", "role"),
    [
        (PRIMARY, "primary"),
        (SECONDARY, "secondary"),
        ({"isWritablePrimary": True}, "standalone"),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, "mongos"),
        ({"isWritablePrimary": False, "arbiterOnly": True, "setName": "rs0"}, "arbiter"),
        ({"isWritablePrimary": False, "setName": "rs0"}, "recovering"),
        ({"ismaster": True, "setName": "rs0"}, "primary"),
    ],
)
def test_roles(hello: dict[str, Any], role: str) -> None:
    """What each member calls itself, old servers among them."""
    assert judged(hello, set_name=None, require="any").observed["role"] == role


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.OperationFailure("x", 18, {"errmsg": "Authentication failed."}), FailureKind.AUTH),
        (errors.OperationFailure("x", 8000, {"errmsg": "bad auth"}), FailureKind.AUTH),
        (errors.OperationFailure("x", 13, {"errmsg": "not authorized"}), FailureKind.PERMISSION),
        (errors.OperationFailure("x", 59, {"errmsg": "no such command"}), FailureKind.UNEXPECTED_RESPONSE),
        (errors.ExecutionTimeout("x", 50), FailureKind.TIMEOUT),
        (errors.NotPrimaryError("x"), FailureKind.NOT_PRIMARY),
        (errors.NetworkTimeout("x"), FailureKind.TIMEOUT),
        (errors.AutoReconnect("h:1: connection closed"), FailureKind.CONNECT),
        (errors.AutoReconnect("h:1: [Errno -2] Name or service not known"), FailureKind.DNS),
        (errors.AutoReconnect("SSL handshake failed: h:1: [SSL: WRONG_VERSION_NUMBER]"), FailureKind.TLS),
        (errors.AutoReconnect("[SSL] certificate verify failed: certificate has expired"), FailureKind.EXPIRED),
        (errors.WaitQueueTimeoutError("x"), FailureKind.EXHAUSTED),
        (errors.ConfigurationError("x"), FailureKind.MISCONFIGURED),
        (ConnectionRefusedError("x"), FailureKind.CONNECT),
    ],
)
def test_errors_have_kinds(error: Exception, kind: FailureKind) -> None:
    """Each error of the driver, and what it means."""
    assert outcome(Client(URI, 2.0).failure(error)) == (Status.UNHEALTHY, kind)


def test_messages_are_short() -> None:
    """Neither the settings nor the whole document that the driver appends."""
    client = Client(URI, 2.0)
    refused = errors.AutoReconnect("h:1: [Errno 111] Connection refused (configured timeouts: connectTimeoutMS: 1 ms)")
    assert client.failure(refused).message == "nobody listens on h:1"
    asynchronous = errors.AutoReconnect(
        "h:1: [Errno 111] Connect call failed ('::1', 1, 0, 0) (configured timeouts: 1 ms)"
    )
    assert client.failure(asynchronous).message == "nobody listens on h:1"
    denied = errors.OperationFailure("denied, full error: {…}", 13, {"errmsg": "not authorized on admin"})
    assert client.failure(denied).message == "not authorized on admin"


@pytest.mark.parametrize("uri", ["mongodb://u:marked@x@h/", "mongodb://h:marked/", "mongodb://u:marked@h/?tls=perhaps"])
def test_unusable_uris_are_refused_without_a_word_of_them(uri: str) -> None:
    """What the driver would stumble over at every probe is found when the file is read."""
    with pytest.raises(ValidationError) as refused:
        MongoDBConfig(uri=SecretStr(uri))
    assert "marked" not in str(refused.value)


@pytest.mark.parametrize("ahead", [40, -40])
def test_a_clock_that_is_wrong_is_no_lag(ahead: float) -> None:
    """Of the secondary's clock and of this host's the one that speaks for it counts: the write has the primary's."""
    now = NOW + timedelta(seconds=ahead)
    config = MongoDBConfig(uri=URI, require="replica")
    result = judge(SECONDARY | written(1), "7.0", config, "rs0", latency=0.001, now=now)
    skewed = SECONDARY | written(1) | {"localTime": NOW + timedelta(seconds=ahead)}
    assert outcome(result) == (Status.HEALTHY, None)
    assert outcome(judge(skewed, "7.0", config, "rs0", latency=0.001, now=NOW)) == (Status.HEALTHY, None)
    late = SECONDARY | written(60)
    assert judge(late, "7.0", config, "rs0", latency=0.001, now=NOW).kind is FailureKind.LAGGING


@pytest.mark.parametrize("driver", list(Driver))
@pytest.mark.parametrize(
    "options",
    [
        "maxPoolSize=50&minPoolSize=5",
        "minPoolSize=5&maxIdleTimeMS=60000&waitQueueTimeoutMS=100",
        "heartbeatFrequencyMS=60000&serverSelectionTimeoutMS=1&connectTimeoutMS=1&socketTimeoutMS=1",
        "timeoutMS=1&appName=shop&maxConnecting=10&serverMonitoringMode=stream",
    ],
)
async def test_an_applications_pool_and_patience_are_no_fault(options: str, driver: Driver) -> None:
    """They contradict none of those that the check sets for its one connection."""
    with tcp.silent() as listener:
        client = Client(SecretStr(f"mongodb://127.0.0.1:{listener.port}/?{options}"), 1.0, driver)
        assert await client.open() is not None
        client.drop()
