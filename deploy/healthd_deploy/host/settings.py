"""Settings of a release on a single host. Secrets are named by their variable: a rollback needs none of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from healthd.config.model import Model, Name
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
    """Source of a release, and how it is verified."""

    archive: Place
    """Tar archive, by absolute path or https:// address; $version is replaced."""
    sha256: Sha256 | None = None
    """SHA-256 that the archive must have."""
    sums: Place | None = None
    """File with the SHA-256, in the format of `sha256sum`; $version is replaced."""
    token: SecretStr | None = None
    """Bearer token for https:// addresses."""
    timeout: Duration = 300.0
    """Timeout of the download."""
    archive_at_most: Size = 512 * 1024**2
    """Maximum size of the archive."""
    unpacked_at_most: Size = 2 * 1024**3
    """Maximum total size of its files."""

    @model_validator(mode="after")
    def _is_checked(self) -> Self:
        if self.sha256 and self.sums:
            raise ValueError("sha256 and sums exclude each other")
        if self.archive.startswith("https://") and not (self.sha256 or self.sums):
            raise ValueError("what is fetched must be checked: add sums, the address of a SHA256SUMS file, or sha256")
        return self


class Program(Model):
    """Program that runs inside the new release."""

    argv: Argv
    """Program and its arguments. No shell is involved."""
    timeout: Duration = 600.0
    """Timeout of the program."""


class Migrations(Program):
    """Program that migrates the databases before the switch. Running it twice must do no harm."""

    undo: Argv | None = None
    """Program that undoes the migrations when the release is put back. Without it they stay: the old release must work
    with the new schema."""


class Dump(Model):
    """Backup of a database."""

    variable: Variable
    """Environment variable that holds the database's URI."""
    program: str = Field(min_length=1)
    """Program, by name or path."""
    options: tuple[str, ...] = ()
    """More options of the program."""
    timeout: Duration = 1800.0
    """Timeout of the dump."""


class PostgresqlDump(Dump):
    """Backup with pg_dump, verified by pg_restore."""

    variable: Variable = "POSTGRESQL_URI"
    """Environment variable that holds the database's URI."""
    program: str = Field("pg_dump", min_length=1)
    """Program pg_dump, by name or path."""
    restore: str = Field("pg_restore", min_length=1)
    """Program pg_restore, by name or path: it reads the dump back."""


class MongodbDump(Dump):
    """Backup with mongodump of the MongoDB Database Tools."""

    variable: Variable = "MONGODB_URI"
    """Environment variable that holds the database's URI."""
    program: str = Field("mongodump", min_length=1)
    """Program mongodump, by name or path."""


class Backup(Model):
    """Backups before a release."""

    folder: Absolute | None = None
    """Folder of the backups; by default, `backups` in the application's home."""
    keep: int = Field(10, ge=1)
    """Number of backups to keep."""
    without: tuple[str, ...] = ("node_modules",)
    """Folders of the application that need no backup, by name."""
    postgresql: PostgresqlDump | None = None
    """Backup of a PostgreSQL database."""
    mongodb: MongodbDump | None = None
    """Backup of a MongoDB database."""

    @property
    def dumps(self) -> tuple[Dump, ...]:
        """Dumps of the databases."""
        return tuple(dump for dump in (self.postgresql, self.mongodb) if dump is not None)


class Pm2(Model):
    """Application under PM2."""

    app: Name
    """Name of the application in the ecosystem file."""
    ecosystem: Absolute
    """Ecosystem file. The application's `cwd` in it must be HOME/current, and `exec_mode` cluster."""
    program: str = Field("pm2", min_length=1)
    """Program pm2, by name or path."""
    timeout: Duration = 120.0
    """Timeout of a reload."""


class Health(Model):
    """Health check of the application: all instances run, from the right release, and the address answers 200."""

    url: Annotated[
        str, StringConstraints(pattern=shape(r"^https?://\S+$", "an address that begins with http:// or https://"))
    ]
    """Address of the request."""
    times: int = Field(30, ge=1)
    """Maximum number of attempts before it fails."""
    interval: Duration = 10.0
    """Time between two attempts."""
    timeout: Duration = 5.0
    """Timeout of an answer."""


class HostConfig(DeployConfig):
    """Options of `healthd-deploy host`"""

    home: Absolute
    """Folder of the application: `releases/`, and the links `current` and `previous`."""
    target: Name | None = None
    """Name of the host among the service's targets in healthd's configuration."""
    variables: tuple[Variable, ...] = ()
    """Environment variables that must have a value."""
    free: Size = 1024**3
    """Free disk space that is required in the home folder and the backup folder."""
    source: Source
    """Source of releases."""
    install: Program = Program(argv=("npm", "ci", "--omit=dev", "--no-audit", "--no-fund"))
    """Program that installs its dependencies."""
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
    """Files and folders of HOME/shared, such as `.env` and `uploads`, to which every release links."""
    migrations: Migrations | None = None
    """Program that migrates the databases before the switch."""
    backup: Backup = Backup()
    """Backups before a release."""
    pm2: Pm2
    """Application under PM2."""
    health: Health
    """Health check of the application."""
    smoke: tuple[Name, ...] = ()
    """Policies that the new release must pass right after the switch, such as `smoke`, before the deciding gate."""
    rollback_within: Duration = 300.0
    """Timeout of a rollback until the old release is healthy again."""
    keep_releases: int = Field(5, ge=2)
    """Number of unpacked releases to keep."""

    @model_validator(mode="after")
    def _has_no_idle_place(self) -> Self:
        if self.gates.idle:
            raise ValueError("gates.idle: on one host no version is without traffic: write these policies under smoke")
        return self

    @property
    def backups(self) -> Path:
        """Folder of the backups."""
        return self.backup.folder or self.home / "backups"

    def required(self) -> list[str]:
        """Return all variables that must have a value."""
        return list(dict.fromkeys((*self.variables, *(dump.variable for dump in self.backup.dumps))))

    def secrets(self) -> list[str]:
        """Return the values of those variables, which must not be shown."""
        return [value for name in self.required() if (value := os.environ.get(name))]
