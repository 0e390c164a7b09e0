"""Databases of a configuration with their migrations. A driver is imported only for a database that is configured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from healthd_deploy.migrate.folder import read_folder
from healthd_deploy.migrate.history import Store
from healthd_deploy.migrate.migration import MalformedError, Migration
from healthd_deploy.migrate.settings import MigrateConfig


@dataclass(frozen=True, slots=True)
class Release:
    """Migrations of a release for one database, not yet connected."""

    database: str
    directory: Path
    migrations: Sequence[Migration]
    open: Callable[[], Awaitable[Store]]


@dataclass(frozen=True, slots=True)
class Target:
    """Connected database, and the migrations of a release for it."""

    store: Store
    migrations: Sequence[Migration]


def releases(config: MigrateConfig) -> list[Release]:
    """Return every database, in the order of migration. Raises MalformedError with all errors."""
    found, problems = list[Release](), list[str]()
    for read in (_postgresql, _mongodb):
        try:
            if release := read(config):
                found.append(release)
        except MalformedError as error:
            problems.append(str(error))
    if problems:
        raise MalformedError("\n".join(problems))
    return found


@asynccontextmanager
async def connected(releases: Sequence[Release]) -> AsyncIterator[list[Target]]:
    """Connect to all of them at once. Raises UnreachableError."""
    async with AsyncExitStack() as opened:
        sites = []
        for release in releases:
            store = await release.open()
            opened.push_async_callback(store.close)
            sites.append(Target(store, release.migrations))
        yield sites


@asynccontextmanager
async def locked(sites: Sequence[Target], wait: float) -> AsyncIterator[None]:
    """Hold the locks of all, always taken in the same order. Raises HeldError."""
    async with AsyncExitStack() as held:
        for site in sites:
            await held.enter_async_context(site.store.lock(wait))
        for site in sites:
            await site.store.set_up()
        yield


def _postgresql(config: MigrateConfig) -> Release | None:
    if (place := config.postgresql) is None:
        return None
    from healthd_deploy.migrate import sql_file

    async def open_store() -> Store:
        from healthd_deploy.migrate.postgresql import PostgreSQLStore

        return await PostgreSQLStore.open(place)

    migrations = read_folder(place.directory, sql_file.SUFFIXES, sql_file.read)
    return Release("postgresql", place.directory, migrations, open_store)


def _mongodb(config: MigrateConfig) -> Release | None:
    if (place := config.mongodb) is None:
        return None
    from healthd_deploy.migrate import document_file

    async def open_store() -> Store:
        from healthd_deploy.migrate.mongodb import MongoDBStore

        return await MongoDBStore.open(place)

    migrations = read_folder(place.directory, document_file.SUFFIXES, document_file.read)
    return Release("mongodb", place.directory, migrations, open_store)
