"""Incidents, as people write of them on the public pages."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "healthd_incident_updates",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
    )
