"""Callbacks to deploy tools that did not wait for the verdict."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "healthd_replies",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("request", sa.Text),
        sa.Column("word", sa.Text),
        sa.Column("why", sa.Text),
        sa.Column("gate_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("said", sa.Text),
        sa.Column("reports", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("next_try_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("leased_until", Moment),
    )
