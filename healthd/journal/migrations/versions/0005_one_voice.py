"""Claims of notifications, and the daemons that share the journal."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "healthd_claims",
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("since", Moment, nullable=False),
    )
    op.create_table(
        "healthd_observers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("failing", sa.Text, nullable=False),
        sa.Column("subjects_mark", sa.Text, nullable=False),
        sa.Column("subjects", sa.Text, nullable=False),
    )
