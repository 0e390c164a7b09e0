"""Addresses of MongoDB and Redis as Mongoose, ioredis, Lettuce and Celery write them."""

import pytest

from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.redis import read_redis

MONGODB = "mongodb://app:s@a.internal,b.internal/shop"
REDIS = "redis://:s@cache.internal:6379/0"


@pytest.mark.parametrize(
    ("query", "left", "told"),
    [
        ("", "", []),
        ("?useNewUrlParser=true&useUnifiedTopology=true", "", ["useNewUrlParser", "useUnifiedTopology"]),
        ("?replicaSet=rs0&poolSize=10&w=majority", "?replicaSet=rs0&w=majority", ["poolSize"]),
        ("?retryWrites=true;autoIndex=false", "?retryWrites=true", ["autoIndex"]),
        ("?authSource=admin&readPreferenceTags=dc:a&readPreferenceTags=", None, []),
        ("?tls=true&tlsCAFile=%2Fca.pem&family=4", "?tls=true&tlsCAFile=%2Fca.pem", ["family"]),
    ],
)
def test_mongodb(query: str, left: str | None, told: list[str]) -> None:
    """The driver gets the options of the specification."""
    uri, notes = read_mongodb(MONGODB + query)
    assert uri == MONGODB + (query if left is None else left)
    assert [note.partition(" ")[0] for note in notes] == told


@pytest.mark.parametrize(
    ("query", "scheme", "left", "told"),
    [
        ("", "redis", "", []),
        ("?family=4&keepAlive=true", "redis", "", ["family", "keepAlive"]),
        ("?tls=false", "redis", "", []),
        ("?tls=true", "rediss", "", []),
        ("?ssl=true&ssl_cert_reqs=CERT_NONE", "rediss", "?ssl_cert_reqs=none", []),
        ("?ssl_cert_reqs=none", "redis", "", []),
        ("?db=3&username=app&password=x%26y", "redis", "?db=3&username=app&password=x%26y", []),
        ("?database=2&clientName=shop&timeout=10s", "redis", "?db=2&client_name=shop", ["timeout"]),
        ("?socket_timeout=0.001&decode_responses=false&protocol=3", "redis", "",
         ["socket_timeout", "decode_responses", "protocol"]),
    ],
)  # fmt: skip
def test_redis(query: str, scheme: str, left: str, told: list[str]) -> None:
    """The driver gets what says where and as whom to connect: how long it waits is the probe's to say."""
    uri, notes = read_redis(REDIS + query)
    assert uri == REDIS.replace("redis", scheme, 1) + left
    assert [note.partition(" ")[0] for note in notes] == told


@pytest.mark.parametrize(
    ("read", "uri", "meant"),
    [
        (read_mongodb, f"{MONGODB}?tlsCAfiles=/ca.pem", "tlsCAFile"),
        (read_redis, f"{REDIS}?ssl_cert_req=none", "ssl_cert_reqs"),
    ],
)
def test_what_would_take_protection_away_is_refused(read: object, uri: str, meant: str) -> None:
    """With the nearest word."""
    assert callable(read)
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        read(uri)
