"""Ramps of gates, and the weights that their orders set."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("healthd_gates", sa.Column("ramp", sa.Text))
    op.add_column("healthd_orders", sa.Column("weight", sa.Float))
