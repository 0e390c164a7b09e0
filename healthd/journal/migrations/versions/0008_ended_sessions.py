"""Sessions of people who have signed out."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "healthd_ended_sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("until", Moment, nullable=False, index=True),
    )
