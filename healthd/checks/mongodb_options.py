"""Options of a check of MongoDB, read without its driver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr, StringConstraints

from healthd.checks.by_driver import ByDriver
from healthd.checks.database import DatabaseConfig, Require, checked_uri
from healthd.checks.mongodb_driver import Driver, InstalledDriver
from healthd.runtime.authority import authority_of
from healthd.units import Duration
from healthd.wording import shape

CollectionName = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[^.$\s/\\\"]+\.[^$\s]+$", "a database, a dot and a collection")),
]


def _readable(uri: SecretStr) -> SecretStr:
    checked_uri(uri, "mongodb", "mongodb+srv")
    hosts = authority_of(uri.get_secret_value()).rpartition("@")[2]
    if not hosts:
        raise ValueError("names no host: write mongodb://host/database or mongodb+srv://host/database")
    if uri.get_secret_value().startswith("mongodb+srv:") and ("," in hosts or ":" in hosts):
        raise ValueError("mongodb+srv:// takes one host without a port: its DNS records name the members")
    return uri


MongoDBURI = Annotated[SecretStr, AfterValidator(_readable), ByDriver("healthd.checks.mongodb_client:readable")]


class MongoDBConfig(DatabaseConfig):
    kind: Literal["mongodb"] = "mongodb"
    uri: MongoDBURI
    """Address: `mongodb://user:password@one,two,three/?replicaSet=rs0` or `mongodb+srv://…`."""
    require: Require = Require.PRIMARY
    """Role that a member must have: `primary`, `replica` (a secondary) or `any`."""
    max_lag: Duration = 30.0
    """Maximum replication lag of a secondary."""
    canary: CollectionName | None = None
    """Collection as `database.collection` in which each probe writes one document with majority write concern; a
    secondary only reads it."""
    driver: InstalledDriver = Driver.PYMONGO
    """Driver: `pymongo` is the asynchronous client of PyMongo, `motor` the one before it, which is past its end."""
