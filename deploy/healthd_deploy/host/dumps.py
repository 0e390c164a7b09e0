"""Dumps of databases, each read back before it counts. Every user can read argument lists: no password is in one."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host.settings import Dump, MongodbDump, PostgresqlDump

_PIECE = 1024**2
_MONGODB_ARCHIVE = (0x8199E26D).to_bytes(4, "little")  # mongo-tools, common/archive: MagicNumber


async def postgresql(dump: PostgresqlDump, file: Path) -> None:
    """In pg_dump's own format, compressed, for `pg_restore`. Raises StepFailed."""
    uri, password = without_password(_uri(dump, "postgresql://", "postgres://"))
    argv = (dump.program, "--format=custom", "--no-password", *dump.options, f"--file={file}", f"--dbname={uri}")
    # In the environment, which on Linux only this user and root can read: a file would outlive a kill.
    await program.run(argv, within=dump.timeout, env={"PGPASSWORD": password} if password else None)
    await program.run((dump.restore, "--list", str(file)), within=dump.timeout)


async def mongodb(dump: MongodbDump, file: Path) -> None:
    """As one compressed archive, for `mongorestore --gzip --archive=FILE`. Raises StepFailed."""
    config = json.dumps({"uri": _uri(dump, "mongodb://", "mongodb+srv://")})  # JSON is YAML
    argv = (dump.program, "--config=/dev/stdin", "--gzip", *dump.options, f"--archive={file}")
    await program.run(argv, within=dump.timeout, given=f"{config}\n".encode())
    await asyncio.to_thread(_read_back, file)


def without_password(uri: str) -> tuple[str, str | None]:
    """A PostgreSQL URI without its password, and the password."""
    parts = urlsplit(uri)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = unquote(password) or dict(query).get("password", "")
    kept = urlencode([(key, value) for key, value in query if key != "password"])
    return parts._replace(netloc=f"{name}{at}{hosts}", query=kept).geturl(), password or None


def _uri(dump: Dump, *schemes: str) -> str:
    uri = os.environ.get(dump.variable, "")
    if not uri.startswith(schemes):
        raise StepFailed(f"{dump.variable} must hold a URI that begins with {' or '.join(schemes)}")
    return uri


def _read_back(file: Path) -> None:
    """To its end: the compression's own checksum covers it."""
    try:
        with gzip.open(file) as stream:
            begun = stream.read(4)
            while stream.read(_PIECE):
                pass
    except (OSError, EOFError) as error:
        raise StepFailed(f"what mongodump wrote cannot be read back: {error}") from None
    if begun != _MONGODB_ARCHIVE:
        raise StepFailed("what mongodump wrote is not an archive of its own")
