"""what a source states of a flag belongs to a row, so that a deleted row takes its word with it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
NO_DAY = 2**31 - 1


def upgrade() -> None:
    op.create_table(
        "statedflag_by_row",
        sa.Column("delivery", sa.String(length=40), nullable=False),
        sa.Column("record", sa.String(length=80), nullable=False),
        sa.Column("flag", sa.String(length=32), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(length=1), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("delivery", "record", "flag", "row"),
    )
    # A word from before has no row: it counts as it did, as the newest of its source.
    op.execute(
        'insert into statedflag_by_row (delivery, record, flag, "row", value, day) '
        f"select delivery, record, flag, 0, value, {NO_DAY} from statedflag"
    )
    op.drop_index("ix_statedflag_record", "statedflag")
    op.drop_table("statedflag")
    op.rename_table("statedflag_by_row", "statedflag")
    op.create_index("ix_statedflag_record", "statedflag", ["record"])
