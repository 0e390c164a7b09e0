"""The validity of leases. Leases end at times of the wall clock, which may have been ahead when one was written: a
lease that ends later than any can last was written by such a clock, and is not valid."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from healthd_gates.config.settings import LONGEST_LEASE
from healthd_gates.store.tables import replicas

_SLACK = timedelta(seconds=5)  # by which two clocks of one host or of one network may normally differ


def lives(moment: datetime) -> sa.ColumnElement[bool]:
    """Match a row of `replicas` that is alive: its lease has not ended, nor was it written in the future."""
    return sa.and_(replicas.c.expires_at > moment, replicas.c.renewed_at <= moment + _SLACK)


def holds(until: sa.ColumnElement[datetime | None], moment: datetime) -> sa.ColumnElement[bool]:
    """Match a claim that is still valid."""
    return sa.and_(until > moment, until <= moment + timedelta(seconds=LONGEST_LEASE) + _SLACK)


def was_ahead(owner: sa.ColumnElement[str | None], moment: datetime) -> sa.ColumnElement[bool]:
    """Match a replica whose clock was ahead when it last renewed its lease."""
    ahead = replicas.alias("ahead")
    return sa.exists().where(ahead.c.id == owner, ahead.c.renewed_at > moment + _SLACK)


def is_free(
    until: sa.ColumnElement[datetime | None], owner: sa.ColumnElement[str | None], moment: datetime
) -> sa.ColumnElement[bool]:
    """Match a row without a valid claim."""
    return sa.or_(until.is_(None), sa.not_(holds(until, moment)), was_ahead(owner, moment))
