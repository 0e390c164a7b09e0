"""Checks that replicas run for each other: who runs which, and what each found."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "healthd_runners",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("written_at", Moment, nullable=False),
        sa.Column("offers_mark", sa.Text, nullable=False),
        sa.Column("offers", sa.Text, nullable=False),
        sa.Column("ages", sa.Text, nullable=False),
    )
    op.create_table(
        "healthd_findings",
        sa.Column("runner", sa.Text, primary_key=True),
        sa.Column("check_name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("finding", sa.Text, nullable=False),
    )
    op.create_index("healthd_findings_number", "healthd_findings", ["runner", "number"])
