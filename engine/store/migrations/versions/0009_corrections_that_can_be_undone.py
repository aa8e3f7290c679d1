"""what a correction replaced is kept, so that withdrawing the correction brings it back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("delivery") as batch:
        batch.add_column(sa.Column("stood", sa.String(length=12), nullable=True))
        batch.add_column(sa.Column("replaced_by", sa.String(length=40), nullable=True))
        batch.create_index("ix_delivery_replaced_by", ["replaced_by"])
        batch.drop_constraint("delivery_state", type_="check")
        batch.create_check_constraint(
            "delivery_state",
            "state in ('accepted', 'paused', 'refused', 'withdrawn', 'replaced')",
        )
