"""Attempts of orders that the end of their replica cut off, since the last one that came to an end."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("healthd_orders", sa.Column("cut_off", sa.Integer, nullable=False, server_default="0"))
