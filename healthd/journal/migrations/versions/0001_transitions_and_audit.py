"""Transitions and audit."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "healthd_transitions",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("check_name", sa.Text, nullable=False),
        sa.Column("old", sa.Text, nullable=False),
        sa.Column("new", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False, index=True),
        sa.Column("kind", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "healthd_audit",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("at", Moment, nullable=False, index=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
