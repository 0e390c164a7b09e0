"""Runs of deploy tools, as far as their calls show them."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    of_gate = sa.ForeignKey("healthd_gates.id", ondelete="CASCADE")
    op.create_table(
        "healthd_hook_runs",
        sa.Column("hook", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("gate_id", sa.Text, of_gate, nullable=False, index=True),
        sa.Column("asked_at", Moment, nullable=False),
        sa.Column("pause", sa.Float),
        sa.Column("advanced", sa.Boolean, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("over", sa.Text),
    )
