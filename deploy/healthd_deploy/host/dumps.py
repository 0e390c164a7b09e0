"""Dumps of databases, each read back before it counts. Argument lists are visible to every user: no password is in
one."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.postgresql import for_libpq
from healthd.addresses.words import joined, split
from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host.settings import Dump, MongodbDump, PostgresqlDump

_PIECE = 1024**2
_MONGODB_ARCHIVE = (0x8199E26D).to_bytes(4, "little")  # mongo-tools, common/archive: MagicNumber


async def postgresql(dump: PostgresqlDump, file: Path) -> None:
    """Dump in pg_dump's own format, compressed, for `pg_restore`. Raises StepFailed."""
    uri, password = without_password(_readable(dump, for_libpq, "postgresql://", "postgres://"))
    argv = (dump.program, "--format=custom", "--no-password", *dump.options, f"--file={file}", f"--dbname={uri}")
    # In the environment, which on Linux only this user and root can read: a file would remain after a kill.
    await program.run(argv, within=dump.timeout, env={"PGPASSWORD": password} if password else None)
    await program.run((dump.restore, "--list", str(file)), within=dump.timeout)


async def mongodb(dump: MongodbDump, file: Path) -> None:
    """Dump as one compressed archive, for `mongorestore --gzip --archive=FILE`. Raises StepFailed."""
    config = json.dumps({"uri": _readable(dump, read_mongodb, "mongodb://", "mongodb+srv://")})  # JSON is YAML
    argv = (dump.program, "--config=/dev/stdin", "--gzip", *dump.options, f"--archive={file}")
    await program.run(argv, within=dump.timeout, given=f"{config}\n".encode())
    await asyncio.to_thread(_read_back, file)


def without_password(uri: str) -> tuple[str, str | None]:
    """Return a PostgreSQL URI without its password, and the password."""
    head, words = split(uri)
    parts = urlsplit(head)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    password = next((word.value for word in reversed(words) if word.name == "password"), unquote(password))
    head = parts._replace(netloc=f"{name}{at}{hosts}").geturl()
    return joined(head, [word for word in words if word.name != "password"]), password or None


def _readable(dump: Dump, read: Callable[[str], tuple[str, tuple[str, ...]]], *schemes: str) -> str:
    """Return the URI with only the parameters that the database's own tools accept: they refuse those of an
    application's driver."""
    uri = os.environ.get(dump.variable, "")
    if not uri.startswith(schemes):
        raise StepFailed(f"{dump.variable} must hold a URI that begins with {' or '.join(schemes)}")
    try:
        return read(uri)[0]
    except ValueError as error:
        raise StepFailed(f"{dump.variable} {error}") from None


def _read_back(file: Path) -> None:
    """Read a dump to its end: the compression's own checksum covers it."""
    try:
        with gzip.open(file) as stream:
            begun = stream.read(4)
            while stream.read(_PIECE):
                pass
    except (OSError, EOFError) as error:
        raise StepFailed(f"what mongodump wrote cannot be read back: {error}") from None
    if begun != _MONGODB_ARCHIVE:
        raise StepFailed("what mongodump wrote is not an archive of its own")
