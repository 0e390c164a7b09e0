"""Plan of a run: compares the files of a release with the history. Pure, so that a dry run reports what a run would
do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthd.checks.migrations_expected import DONE, FAILED, UNDONE, Expected, normal_checksum
from healthd_deploy.migrate.history import Progress, Row, Status
from healthd_deploy.migrate.migration import Migration, number_of


class Way(StrEnum):
    """Way to bring a migration to its end."""

    APPLY = "apply"
    RESUME = "resume"
    REDO = "undo what a killed run left, and apply"


@dataclass(frozen=True, slots=True)
class Todo:
    """Migration to carry out, and its starting point."""

    migration: Migration
    way: Way
    row: Row | None = None

    @property
    def name(self) -> str:
        """Name in the history."""
        return self.row.name if self.row else self.migration.name

    @property
    def progress(self) -> Progress:
        """Progress to start from."""
        kept = self.row.progress if self.row and self.way is Way.RESUME else None
        return kept or Progress(self.migration.checksum)


@dataclass(frozen=True, slots=True)
class Plan:
    """Migrations to carry out, in order; or the reasons that prevent it."""

    todo: Sequence[Todo]
    problems: Sequence[str]
    dirty: bool
    """True if a person must check the database first."""


def plan(migrations: Sequence[Migration], rows: Iterable[Row], *, out_of_order: bool = False) -> Plan:
    """Return the release's migrations that the history lacks, and all reasons that prevent a run."""
    known = {row.name: row for row in rows}
    todo, problems, dirty = list[Todo](), list[str](), False
    newest = max((number_of(row.name) for row in known.values() if is_done(row)), default=-1)
    for migration in migrations:
        row = row_of(migration, known)
        if row is not None and is_done(row):
            problems += _changed(migration, row)
            continue
        if row is not None and (problem := _in_the_way(migration, row)):
            problems.append(problem)
            dirty = True
            continue
        if row is None and migration.number < newest and not out_of_order:
            problems.append(
                f"{migration.file}: comes before number {newest}, which is applied: give it a higher number, or run it "
                "with --out-of-order"
            )
        if migration.unfit is not None:
            problems.append(migration.unfit)
        todo.append(_todo(migration, row))
    return Plan(todo, problems, dirty)


def row_of(migration: Migration, rows: dict[str, Row]) -> Row | None:
    """Return the row of a migration, which another tool may have named by its file."""
    names = (migration.name, *Expected(name=migration.file.name).known_as)
    return next((rows[name] for name in names if name in rows), None)


def is_done(row: Row) -> bool:
    """True if a row says that it is applied."""
    return row.status.lower() in DONE


def _todo(migration: Migration, row: Row | None) -> Todo:
    if row is None or row.progress is None:
        return Todo(migration, Way.APPLY, row)
    return Todo(migration, Way.REDO if row.progress.begun or row.progress.undoing else Way.RESUME, row)


def _changed(migration: Migration, row: Row) -> list[str]:
    if not row.checksum or normal_checksum(row.checksum) == migration.checksum:
        return []
    return [
        f"{migration.file}: was changed after it was applied: put it back as it was and write a new migration; or, if "
        f"nothing but its text is new, `resolve {row.name} --as applied`"
    ]


def _in_the_way(migration: Migration, row: Row) -> str | None:
    """Return why a migration that is not done cannot simply be carried out."""
    status, progress = row.status.lower(), row.progress
    fix = f"look at the database, then `resolve {row.name} --as applied` or `--as undone`"
    if status == Status.DIRTY:
        why = f" ({progress.error})" if progress and progress.error else ""
        return f"{migration.name}: failed halfway and could not be undone{why}: {fix}"
    if progress is None:
        if status in (*FAILED, *UNDONE):
            return None
        return f"{migration.name}: the history says {row.status!r} and not how far it came: {fix}"
    if progress.undoing or progress.begun:
        if row.rollback_script:
            return None
        return f"{migration.name}: its run was killed in a step that is no transaction, and it has no `down`: {fix}"
    if progress.checksum != migration.checksum:
        return f"{migration.file}: was changed while it is half done: put it back, or undo it: `down {row.name}`"
    return None
