"""The validity of leases. Leases end at times of the wall clock, which may have been ahead when one was written: a
lease that ends later than any can last was written by such a clock, and is not valid.

The conditions have the time as parameters, whose values `at` gives: a statement that is polled all day is built once,
since to build it costs more than to execute it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from healthd.journal.columns import Moment
from healthd_gates.config.settings import LONGEST_LEASE
from healthd_gates.store.tables import replicas

_SLACK = timedelta(seconds=5)  # by which two clocks of one host or of one network may normally differ

NOW = sa.bindparam("now", type_=Moment)
_SOON = sa.bindparam("soon", type_=Moment)
_LATEST_END = sa.bindparam("latest_end", type_=Moment)


def at(moment: datetime) -> dict[str, datetime]:
    """Return the parameters of these conditions for a time."""
    latest_end = moment + timedelta(seconds=LONGEST_LEASE) + _SLACK
    return {NOW.key: moment, _SOON.key: moment + _SLACK, _LATEST_END.key: latest_end}


def lives() -> sa.ColumnElement[bool]:
    """Match a row of `replicas` that is alive: its lease has not ended, nor was it written in the future."""
    return sa.and_(replicas.c.expires_at > NOW, replicas.c.renewed_at <= _SOON)


def holds(until: sa.ColumnElement[datetime | None]) -> sa.ColumnElement[bool]:
    """Match a claim that is still valid."""
    return sa.and_(until > NOW, until <= _LATEST_END)


def was_ahead(owner: sa.ColumnElement[str | None]) -> sa.ColumnElement[bool]:
    """Match a replica whose clock was ahead when it last renewed its lease."""
    ahead = replicas.alias("ahead")
    return sa.exists().where(ahead.c.id == owner, ahead.c.renewed_at > _SOON)


def is_free(until: sa.ColumnElement[datetime | None], owner: sa.ColumnElement[str | None]) -> sa.ColumnElement[bool]:
    """Match a row without a valid claim."""
    return sa.or_(until.is_(None), sa.not_(holds(until)), was_ahead(owner))
