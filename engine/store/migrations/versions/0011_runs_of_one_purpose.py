"""a run serves one purpose; what was made before served safeguarding."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    with op.batch_alter_table("scorerun") as batch:
        batch.add_column(
            sa.Column("purpose", sa.String(length=64), nullable=False, server_default="safeguard_child")
        )
        batch.create_index("ix_scorerun_purpose", ["purpose"])
