"""Errors of SQLAlchemy and its drivers: whose they are, and the sentence that explains one and its fix."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

CALLERS_OWN = (IntegrityError, DataError)
"""Errors caused by a statement's own values, which its caller must handle."""

_DATA_EXCEPTION = "22"  # class of SQLSTATE


def is_callers_own(error: BaseException) -> bool:
    """True for an error of a value that a caller gave, or of a bug in reading or writing one: the database works. Such
    are values that cannot be sent (SQLAlchemy wraps what their type raises; asyncpg calls them an error of its
    interface) and those that PostgreSQL refuses."""
    if isinstance(error, CALLERS_OWN):
        return True
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)
    if str(getattr(error.orig, "sqlstate", None) or "").startswith(_DATA_EXCEPTION):
        return True
    return isinstance(getattr(error.orig, "__cause__", None), ValueError | TypeError | OverflowError)


def is_of_a_table(error: BaseException) -> bool:
    """True for an error of one table, such as a broken page, or of a right to it: others may be written as before."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return any(words in str(error.orig) for words in _OF_A_TABLE_OF_SQLITE)
    return getattr(error.orig, "sqlstate", None) in _OF_A_TABLE


_OF_A_TABLE = ("42501", "42P01", "42703")
_OF_A_TABLE_OF_SQLITE = ("no such table", "no such column", "has no column", "is malformed")
_CURES = {
    "42501": "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN "
    "SCHEMA {schema} TO {role}; or let {role} own its tables, which begin with healthd_",
    "3F000": "CREATE SCHEMA {schema} AUTHORIZATION {role}",
    "42P01": "bring the tables back from a backup, or drop all that are left of healthd_… to begin anew, "
    "which needs no restart",
    "42703": "bring the tables back from a backup: they are not as healthd made them",
    "42P07": "the names that begin with healthd_ are for healthd: give it a schema of its own (?schema=…)",
    "25006": "name the primary, or let the driver find it: target_session_attrs=read-write",
    "53300": "let PostgreSQL take more connections: a daemon keeps up to 8",
    "3D000": "CREATE DATABASE, and see docs/journal.md for the rights",
}


def sentence(error: BaseException, *, role: str | None = None, schema: str | None = None) -> str:
    """Return the error on one line, with its fix where there is one."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    nothing = "it does not answer in time" if isinstance(cause, TimeoutError) else type(error).__name__
    text = " ".join(str(_innermost(cause)).split("\n")[0].split())[:300] or nothing
    cure = _CURES.get(str(getattr(cause, "sqlstate", None)))
    if cure is None:
        return text
    return f"{text}: {cure.format(role=role or 'its role', schema=schema or 'public')}"


def _innermost(error: Any) -> Any:
    """Return the driver's own error: SQLAlchemy puts the name of its class before the message."""
    return error.__cause__ if hasattr(error, "sqlstate") and error.__cause__ is not None else error
