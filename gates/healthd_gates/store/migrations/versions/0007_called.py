"""Time of a run's last call of each kind, for tools that make several calls at each of their intervals."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("healthd_hook_runs", sa.Column("called", sa.JSON))
