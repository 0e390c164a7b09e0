"""What is to be done: the files of a release against the history. Pure, so that a dry run says what a run would do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthd.checks.migrations_expected import DONE, FAILED, UNDONE, Expected, normal_checksum
from healthd_deploy.migrate.history import Progress, Row, Status
from healthd_deploy.migrate.migration import Migration, number_of


class Way(StrEnum):
    """How a migration is brought to its end."""

    APPLY = "apply"
    RESUME = "resume"
    REDO = "undo what a killed run left, and apply"


@dataclass(frozen=True, slots=True)
class Todo:
    """A migration to carry out, and from where."""

    migration: Migration
    way: Way
    row: Row | None = None

    @property
    def name(self) -> str:
        """As in the history."""
        return self.row.name if self.row else self.migration.name

    @property
    def progress(self) -> Progress:
        """Where to begin."""
        kept = self.row.progress if self.row and self.way is Way.RESUME else None
        return kept or Progress(self.migration.checksum)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order; or why nothing may be."""

    todo: Sequence[Todo]
    problems: Sequence[str]
    dirty: bool
    """Whether a person must look first."""


def plan(migrations: Sequence[Migration], rows: Iterable[Row], *, out_of_order: bool = False) -> Plan:
    """What the history lacks of the release's migrations, and everything that speaks against going on."""
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
        todo.append(_todo(migration, row))
    return Plan(todo, problems, dirty)


def row_of(migration: Migration, rows: dict[str, Row]) -> Row | None:
    """The row of a migration, which another tool may have named by its file."""
    names = (migration.name, *Expected(name=migration.file.name).known_as)
    return next((rows[name] for name in names if name in rows), None)


def is_done(row: Row) -> bool:
    """Whether a row says that it is applied."""
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
    """Why a migration that is not done cannot simply be carried out."""
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
