"""Time at which the answer of a callback that has no gate became known: its deliveries are retried from then on."""

import sqlalchemy as sa
from alembic import op

from healthd.journal.columns import Moment

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("healthd_replies", sa.Column("word_at", Moment))
