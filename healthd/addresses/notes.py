"""Notes on the parameters of an address that are dropped, and on its files, for any kind of database."""

from __future__ import annotations

from healthd.addresses.files import files_of, missing_files
from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.mysql import read_mysql
from healthd.addresses.postgresql import read_postgresql
from healthd.addresses.redis import read_redis


def notes_of(uri: str) -> tuple[str, ...]:
    """Return a sentence for each parameter that is dropped, and for each file that is not there; none contains a
    secret. Reads the disk. Raises ValueError."""
    scheme = uri.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        address = read_postgresql(uri)
        return (*address.notes, *missing_files(address.files))
    return (*_dropped(scheme, uri), *missing_files(files_of(uri)))


def _dropped(scheme: str, uri: str) -> tuple[str, ...]:
    if scheme in ("mysql", "mariadb"):
        return read_mysql(uri).notes
    if scheme in ("mongodb", "mongodb+srv"):
        return read_mongodb(uri)[1]
    return read_redis(uri)[1] if scheme in ("redis", "rediss", "unix") else ()
