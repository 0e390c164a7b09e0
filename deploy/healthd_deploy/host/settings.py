"""What a release on a single host needs to know. Secrets are named by their variable: a rollback needs none of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from healthd.config.settings import Model, Name
from healthd.units import Duration, Size
from healthd.wording import shape
from healthd_deploy.core.settings import DeployConfig

VERSION = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
Variable = Annotated[
    str, StringConstraints(pattern=shape(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of a variable, such as POSTGRESQL_URI"))
]
Place = Annotated[
    str,
    StringConstraints(pattern=shape(r"^(https://|/)\S+$", "an address that begins with https://, or an absolute path")),
]
Sha256 = Annotated[str, StringConstraints(pattern=shape(r"^[0-9a-fA-F]{64}$", "64 hexadecimal digits"), to_lower=True)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be an absolute path, without ..")
    return path


Absolute = Annotated[Path, AfterValidator(_absolute)]


class Source(Model):
    """Where a release comes from, and how it is known to be the right one."""

    archive: Place
    """A tar archive, by absolute path or https:// address; $version is filled in."""
    sha256: Sha256 | None = None
    """What the archive's SHA-256 must be."""
    sums: Place | None = None
    """Or a file that says it, in the form of `sha256sum`; $version is filled in."""
    token: SecretStr | None = None
    """A bearer token for https:// addresses."""
    timeout: Duration = 300.0
    """How long fetching may take."""
    archive_at_most: Size = 512 * 1024**2
    """The largest archive that is fetched."""
    unpacked_at_most: Size = 2 * 1024**3
    """The most that its files may come to."""

    @model_validator(mode="after")
    def _is_checked(self) -> Self:
        if self.sha256 and self.sums:
            raise ValueError("sha256 and sums exclude each other")
        if self.archive.startswith("https://") and not (self.sha256 or self.sums):
            raise ValueError("what is fetched must be checked: add sums, the address of a SHA256SUMS file, or sha256")
        return self


class Program(Model):
    """A program that runs inside the new release."""

    argv: Argv
    """The program and its arguments. No shell is involved."""
    timeout: Duration = 600.0
    """How long it may take."""


class Migrations(Program):
    """What migrates the databases before the switch. Run twice it must do no harm."""

    undo: Argv | None = None
    """What undoes them when the release is put back. Without it they stay: the old release must bear the new schema."""


class Dump(Model):
    """The backup of a database."""

    variable: Variable
    """The environment variable that holds the database's URI."""
    program: str = Field(min_length=1)
    """The program, by name or path."""
    options: tuple[str, ...] = ()
    """More options for it."""
    timeout: Duration = 1800.0
    """How long it may take."""


class PostgresqlDump(Dump):
    """With pg_dump, checked by pg_restore."""

    variable: Variable = "POSTGRESQL_URI"
    """The environment variable that holds the database's URI."""
    program: str = Field("pg_dump", min_length=1)
    """pg_dump, by name or path."""
    restore: str = Field("pg_restore", min_length=1)
    """pg_restore, by name or path: it reads back what was dumped."""


class MongodbDump(Dump):
    """With mongodump of the MongoDB Database Tools."""

    variable: Variable = "MONGODB_URI"
    """The environment variable that holds the database's URI."""
    program: str = Field("mongodump", min_length=1)
    """mongodump, by name or path."""


class Backup(Model):
    """What is kept before a release."""

    folder: Absolute | None = None
    """Where; without it, `backups` in the application's home."""
    keep: int = Field(10, ge=1)
    """How many of them."""
    without: tuple[str, ...] = ("node_modules",)
    """Folders of the application that need no backup, by name."""
    postgresql: PostgresqlDump | None = None
    """Back up a PostgreSQL database."""
    mongodb: MongodbDump | None = None
    """Back up a MongoDB database."""

    @property
    def dumps(self) -> tuple[Dump, ...]:
        """The databases that are backed up."""
        return tuple(dump for dump in (self.postgresql, self.mongodb) if dump is not None)


class Pm2(Model):
    """The application as PM2 knows it."""

    app: Name
    """Its name in the ecosystem file."""
    ecosystem: Absolute
    """The ecosystem file. The application's `cwd` in it must be HOME/current, and `exec_mode` cluster."""
    program: str = Field("pm2", min_length=1)
    """pm2, by name or path."""
    timeout: Duration = 120.0
    """How long a reload may take."""


class Health(Model):
    """When the application is healthy: all instances run, from the right release, and the address answers 200."""

    url: Annotated[
        str, StringConstraints(pattern=shape(r"^https?://\S+$", "an address that begins with http:// or https://"))
    ]
    """What is asked."""
    times: int = Field(30, ge=1)
    """How often it is looked at, before it is given up."""
    interval: Duration = 10.0
    """How long between two looks."""
    timeout: Duration = 5.0
    """How long an answer may take."""


class HostConfig(DeployConfig):
    """`healthd-deploy host`"""

    home: Absolute
    """The folder of the application: `releases/`, and the links `current` and `previous`."""
    target: Name | None = None
    """The host's name among the service's targets in healthd's configuration."""
    variables: tuple[Variable, ...] = ()
    """Environment variables that must have a value."""
    free: Size = 1024**3
    """How much of the disk must be free at home and where backups go."""
    source: Source
    """Where releases come from."""
    install: Program = Program(argv=("npm", "ci", "--omit=dev", "--no-audit", "--no-fund"))
    """How its dependencies are installed."""
    shared: tuple[
        Annotated[
            str,
            StringConstraints(
                pattern=shape(
                    r"^[A-Za-z0-9_.][A-Za-z0-9_-][A-Za-z0-9._-]*$", "the name of a file or folder, without a path"
                )
            ),
        ],
        ...,
    ] = ()
    """Files and folders of HOME/shared, such as `.env` and `uploads`, that every release links to."""
    migrations: Migrations | None = None
    """What migrates the databases before the switch."""
    backup: Backup = Backup()
    """What is kept before a release."""
    pm2: Pm2
    """The application as PM2 knows it."""
    health: Health
    """When the application is healthy."""
    smoke: tuple[Name, ...] = ()
    """Policies that the new release must pass right after the switch, such as `smoke`, before the gate that counts."""
    rollback_within: Duration = 300.0
    """How long a rollback may take until the old release is healthy again."""
    keep_releases: int = Field(5, ge=2)
    """How many unpacked releases stay."""

    @model_validator(mode="after")
    def _has_no_idle_place(self) -> Self:
        if self.gates.idle:
            raise ValueError("gates.idle: on one host no version is without traffic: write these policies under smoke")
        return self

    @property
    def backups(self) -> Path:
        """Where the backups are."""
        return self.backup.folder or self.home / "backups"

    def required(self) -> list[str]:
        """All variables that must have a value."""
        return list(dict.fromkeys((*self.variables, *(dump.variable for dump in self.backup.dumps))))

    def secrets(self) -> list[str]:
        """The values of those variables, which must not be shown."""
        return [value for name in self.required() if (value := os.environ.get(name))]
