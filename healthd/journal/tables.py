"""Tables of the daemon: transitions, audit of changes, notifications that were sent, windows, and
heartbeats."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from healthd.journal.columns import Moment, Text
from healthd.journal.migrate import Branch

metadata = sa.MetaData()

transitions = sa.Table(
    "healthd_transitions",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("check_name", Text, nullable=False),
    sa.Column("old", Text, nullable=False),
    sa.Column("new", Text, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("kind", Text),
    sa.Column("message", Text, nullable=False),
)

audit = sa.Table(
    "healthd_audit",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("caller", Text, nullable=False),
    sa.Column("action", Text, nullable=False),
    sa.Column("subject", Text, nullable=False),
    sa.Column("detail", Text, nullable=False),
)

told = sa.Table(
    "healthd_told",
    metadata,
    sa.Column("receiver", Text, primary_key=True),
    sa.Column("subject", Text, primary_key=True),
    sa.Column("notice", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("within", Text),
)

windows = sa.Table(
    "healthd_windows",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("window", Text, nullable=False),
    sa.Column("ends", Moment, nullable=False, index=True),
)

heartbeats = sa.Table(
    "healthd_heartbeats",
    metadata,
    sa.Column("check_name", Text, primary_key=True),
    sa.Column("record", Text, nullable=False),
    sa.Column("changed", Moment, nullable=False, index=True),
)

BRANCH = Branch(Path(__file__).with_name("migrations"), "healthd_journal_version", head="0004", oldest="0002")
