"""Tables of the daemon: transitions, audit of changes, notifications that were sent and by whom, windows, heartbeats,
the checks that replicas run for each other, and incidents."""

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

# The right to send one notification now. `standing` and `since` name it, for a replica that sends it after its holder's
# end; `notice` is what the holder may have sent by then.
claims = sa.Table(
    "healthd_claims",
    metadata,
    sa.Column("receiver", Text, primary_key=True),
    sa.Column("subject", Text, primary_key=True),
    sa.Column("holder", Text, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("standing", Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("notice", Text),
)

# The daemons that share this journal, and what each of them sees.
observers = sa.Table(
    "healthd_observers",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("address", Text, nullable=False),
    sa.Column("host", Text, nullable=False),
    sa.Column("environment", Text, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("failing", Text, nullable=False),
    sa.Column("subjects_mark", Text, nullable=False),
    sa.Column("subjects", Text, nullable=False),
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

# The replicas that run checks for each other: those that each can run, and how old its last result of each is.
runners = sa.Table(
    "healthd_runners",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("address", Text, nullable=False),
    sa.Column("host", Text, nullable=False),
    sa.Column("environment", Text, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("written_at", Moment, nullable=False),
    sa.Column("offers_mark", Text, nullable=False),
    sa.Column("offers", Text, nullable=False),
    sa.Column("ages", Text, nullable=False),
)

# What each of them found. `number` grows with every write of a runner.
findings = sa.Table(
    "healthd_findings",
    metadata,
    sa.Column("runner", Text, primary_key=True),
    sa.Column("check_name", Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("finding", Text, nullable=False),
    sa.Index("healthd_findings_number", "runner", "number"),
)

# What people write about incidents: rows are only added. The first of an incident opens it.
incident_updates = sa.Table(
    "healthd_incident_updates",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("incident", Text, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("body", Text, nullable=False),
)

# The sessions of people who have signed out, until no cookie of theirs can hold any more.
ended_sessions = sa.Table(
    "healthd_ended_sessions",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("until", Moment, nullable=False, index=True),
)

BRANCH = Branch(
    Path(__file__).with_name("migrations"), "healthd_journal_version", head="0009", oldest="0002", tables=metadata
)
