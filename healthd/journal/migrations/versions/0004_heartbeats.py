"""Records of the jobs that report in."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "healthd_heartbeats",
        sa.Column("check_name", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("changed", Moment, nullable=False, index=True),
    )
