"""Windows that callers have added: maintenance, silences, pauses, acknowledgements, freezes."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "healthd_windows",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("window", sa.Text, nullable=False),
        sa.Column("ends", Moment, nullable=False, index=True),
    )
