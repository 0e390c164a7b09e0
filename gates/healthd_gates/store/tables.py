"""The gate's tables, in the daemon's journal. A migration goes with every change here; a test compares the two."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from healthd.journal.columns import Moment, Text
from healthd.journal.migrate import Branch

metadata = sa.MetaData()


def _of_gate() -> sa.ForeignKey:
    return sa.ForeignKey("healthd_gates.id", ondelete="CASCADE")


replicas = sa.Table(
    "healthd_replicas",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("renewed_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)

# A row is the sum of the gate's log. `token` grows each time that the gate changes owner: an owner's write names
# the token under which it owns the gate, and is refused once it has another owner. `holds` is the service while no
# other gate may start for it; its uniqueness forbids that.
gates = sa.Table(
    "healthd_gates",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("service", Text, nullable=False, index=True),
    sa.Column("holds", Text, unique=True),
    sa.Column("policy", Text, nullable=False),
    sa.Column("policy_body", Text, nullable=False),
    sa.Column("request", Text, nullable=False),
    sa.Column("request_hash", Text, nullable=False),
    sa.Column("caller", Text, nullable=False),
    sa.Column("idempotency", Text, unique=True),
    sa.Column("state", Text, nullable=False, index=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("decides_by", Moment, nullable=False),
    sa.Column("standing", Text),
    sa.Column("notes", Text),
    sa.Column("verdict", Text),
    sa.Column("decision", Text),
    sa.Column("rollback", Text),
    sa.Column("ramp", Text),
    sa.Column("watch_until", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("cursor", Text),
    sa.Column("owner", Text),
    sa.Column("token", sa.Integer, nullable=False),
)

gate_events = sa.Table(
    "healthd_gate_events",
    metadata,
    sa.Column("gate_id", Text, _of_gate(), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("body", Text, nullable=False),
)

# The evidence of an evaluation, without the judge's result (an event): only a judge that is restored reads it.
gate_evidence = sa.Table(
    "healthd_gate_evidence",
    metadata,
    sa.Column("gate_id", Text, _of_gate(), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stage", Text, nullable=False),
    sa.Column("body", Text, nullable=False),
)

gate_pushes = sa.Table(
    "healthd_gate_pushes",
    metadata,
    sa.Column("gate_id", Text, _of_gate(), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("push_id", Text, nullable=False),
    sa.Column("body", Text, nullable=False),
    sa.UniqueConstraint("gate_id", "push_id", name="uq_healthd_gate_pushes_push_id"),
)

# The outbox. `key` is the idempotency key for a receiver; `owner`, `token` and `leased_until` are a worker's claim.
orders = sa.Table(
    "healthd_orders",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("gate_id", Text, _of_gate(), nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("action", Text, nullable=False),
    sa.Column("occasion", Text, nullable=False),
    sa.Column("weight", sa.Float),
    sa.Column("state", Text, nullable=False, index=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("next_try_at", Moment, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("cut_off", sa.Integer, nullable=False, server_default="0"),
    sa.Column("detail", Text, nullable=False),
    sa.Column("finished_at", Moment),
    sa.Column("owner", Text),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("leased_until", Moment),
)

# Callbacks to deploy tools that did not wait. `word` is the answer if no gate gives it; `said` is the answer that may
# have been received already: no other follows it. `token` and `leased_until` are a worker's claim.
replies = sa.Table(
    "healthd_replies",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("hook", Text, nullable=False),
    sa.Column("address", Text, nullable=False),
    sa.Column("request", Text),
    sa.Column("word", Text),
    sa.Column("why", Text),
    sa.Column("word_at", Moment),
    sa.Column("gate_id", Text),
    sa.Column("state", Text, nullable=False, index=True),
    sa.Column("said", Text),
    sa.Column("reports", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("detail", Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("next_try_at", Moment, nullable=False),
    sa.Column("finished_at", Moment),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("leased_until", Moment),
)

# Runs of deploy tools: the gate that answers a run, its tool's last call, and why it is over.
hook_runs = sa.Table(
    "healthd_hook_runs",
    metadata,
    sa.Column("hook", Text, primary_key=True),
    sa.Column("subject", Text, primary_key=True),
    sa.Column("run", Text, primary_key=True),
    sa.Column("gate_id", Text, _of_gate(), nullable=False, index=True),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("pause", sa.Float),
    sa.Column("advanced", sa.Boolean, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("over", Text),
    sa.Column("called", sa.JSON),
)

deploy_locks = sa.Table(
    "healthd_deploy_locks",
    metadata,
    sa.Column("service", Text, primary_key=True),
    sa.Column("holder", Text, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("caller", Text, nullable=False),
)

quarantine = sa.Table(
    "healthd_quarantine",
    metadata,
    sa.Column("service", Text, primary_key=True),
    sa.Column("version", Text, primary_key=True),
    sa.Column("gate_id", Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("reason", Text, nullable=False),
)

BRANCH = Branch(
    Path(__file__).with_name("migrations"), "healthd_gates_version", head="0007", oldest="0003", tables=metadata
)
