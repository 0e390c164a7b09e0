"""Gates, their log, the outbox, replicas, deploy locks and quarantine."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0001"
down_revision = None


def _of_gate() -> sa.ForeignKey:
    return sa.ForeignKey("healthd_gates.id", ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "healthd_replicas",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("renewed_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
    )
    op.create_table(
        "healthd_gates",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, nullable=False, index=True),
        sa.Column("holds", sa.Text, unique=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_body", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("idempotency", sa.Text, unique=True),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("decides_by", Moment, nullable=False),
        sa.Column("standing", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("decision", sa.Text),
        sa.Column("rollback", sa.Text),
        sa.Column("watch_until", Moment),
        sa.Column("finished_at", Moment),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.Integer, nullable=False),
    )
    op.create_table(
        "healthd_gate_events",
        sa.Column("gate_id", sa.Text, _of_gate(), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "healthd_gate_evidence",
        sa.Column("gate_id", sa.Text, _of_gate(), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "healthd_gate_pushes",
        sa.Column("gate_id", sa.Text, _of_gate(), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("push_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("gate_id", "push_id", name="uq_healthd_gate_pushes_push_id"),
    )
    op.create_table(
        "healthd_orders",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("gate_id", sa.Text, _of_gate(), nullable=False, index=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("next_try_at", Moment, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("finished_at", Moment),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("leased_until", Moment),
    )
    op.create_table(
        "healthd_deploy_locks",
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", Moment, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
    )
    op.create_table(
        "healthd_quarantine",
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("gate_id", sa.Text, nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
