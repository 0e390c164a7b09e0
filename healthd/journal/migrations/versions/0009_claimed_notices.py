"""Notices that the holder of a claim may have told when it died."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("healthd_claims", sa.Column("notice", sa.Text))
