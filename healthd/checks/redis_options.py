"""Options of a check of Redis, read without its driver."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr

from healthd.addresses.redis import read_redis
from healthd.addresses.words import split
from healthd.checks.by_driver import ByDriver
from healthd.checks.database import DatabaseConfig, Limits, Require, checked_uri
from healthd.units import Duration


def _readable(uri: SecretStr) -> SecretStr:
    checked_uri(uri, "redis", "rediss", "unix")
    text = uri.get_secret_value()
    database = unquote(text.partition("?")[0].partition("://")[2].partition("/")[2]).strip("/")
    words = [word.value for word in split(text)[1] if word.name in ("db", "database")]
    if any(number and not number.isdigit() for number in (*words, *([] if text.startswith("unix:") else [database]))):
        raise ValueError("names a database that is no number: the path of redis://host:6379/0 is the database's number")
    named = {database} - {""} if not text.startswith("unix:") else set[str]()
    if len({*map(int, named), *(int(word) for word in words if word)}) > 1:
        raise ValueError("names two databases, one in the path and one behind the ?: leave one out")
    read_redis(text)
    return uri


RedisURI = Annotated[SecretStr, AfterValidator(_readable), ByDriver("healthd.checks.redis_connection:readable")]


class RedisConfig(DatabaseConfig):
    kind: Literal["redis"] = "redis"
    uri: RedisURI
    """Address: `redis://user:password@host:6379/0`, `rediss://` with TLS, or `unix:///path.sock`."""
    require: Require = Require.PRIMARY
    """Role that the server must have: `primary`, `replica` or `any`; ignored in a cluster."""
    max_lag: Duration = 30.0
    """Maximum time that a replica may be without its primary."""
    memory: Limits = Limits(degraded=0.8, unhealthy=0.95)
    """Limits on the share of `maxmemory` in use, where Redis evicts nothing."""
    connections: Limits = Limits()
    """Limits on the share of `maxclients` in use."""
    canary: str | None = None
    """Key prefix: a primary must store a value under it and return it."""
