"""Notifications that notifiers have sent."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "healthd_told",
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("within", sa.Text),
    )
