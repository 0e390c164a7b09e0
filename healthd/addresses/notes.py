"""What is told of an address, whichever database it is of."""

from __future__ import annotations

from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.postgresql import read_postgresql
from healthd.addresses.redis import read_redis


def notes_of(uri: str) -> tuple[str, ...]:
    """A sentence for each word that is set aside; nothing in it is secret. Raises ValueError."""
    scheme = uri.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        return read_postgresql(uri).notes
    if scheme in ("mongodb", "mongodb+srv"):
        return read_mongodb(uri)[1]
    return read_redis(uri)[1] if scheme in ("redis", "rediss", "unix") else ()
