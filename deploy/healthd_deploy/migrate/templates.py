"""New migration files, with the next number and a form to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import click

from healthd_deploy.migrate.sites import Release

_SQL = """\
-- migrate: up

-- migrate: down
"""
_SQL_BATCHES = """\
-- What new rows need, so that the application writes them in the new form from here on.
-- migrate: prepare
ALTER TABLE users ADD COLUMN email_lower text;

-- $1 is the keys of a batch. The condition must no longer hold for them afterwards.
-- migrate: batches of users by id where email_lower IS NULL AND email IS NOT NULL
UPDATE users SET email_lower = lower(email) WHERE id = ANY($1);

-- Selects what is wrong: nothing, when all is well.
-- migrate: validate
SELECT id FROM users WHERE email_lower IS NULL AND email IS NOT NULL LIMIT 10;

-- migrate: down
ALTER TABLE users DROP COLUMN email_lower;
"""
_YAML = """\
# Database commands, one a line; `$oid`, `$date` and the like stand for BSON's own types.
up:
  - {createIndexes: courses, indexes: [{key: {slug: 1}, name: slug_1}]}
# Must do no harm when it is run twice, or when `up` was only half done.
down:
  - {dropIndexes: courses, index: slug_1}
"""
_YAML_BATCHES = """\
prepare: []
batches:
  - collection: courses
    where: {slug: {$exists: false}}            # must no longer hold afterwards
    update: [{$set: {slug: {$toLower: $title}}}]
validate:
  - {collection: courses, where: {slug: {$exists: false}}}
down:
  - {update: courses, updates: [{q: {}, u: {$unset: {slug: 1}}, multi: true}]}
"""


def new_file(release: Release, name: str, *, batches: bool) -> Path:
    """Write the file; return its path. Raises click.UsageError for an invalid name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise click.UsageError("a name is letters, digits, _ and -, such as add_courses_index")
    number = max((migration.number for migration in release.migrations), default=0) + 1
    suffix, text = {
        ("postgresql", False): (".sql", _SQL),
        ("postgresql", True): (".sql", _SQL_BATCHES),
        ("mongodb", False): (".yaml", _YAML),
        ("mongodb", True): (".yaml", _YAML_BATCHES),
    }[release.database, batches]
    file = release.directory / f"{number:04}_{name}{suffix}"
    with file.open("x", encoding="utf-8") as new:
        new.write(text)
    return file
