"""decisions about pairs of records."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "linkdecision",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("pair", sa.String(length=32), nullable=False),
        sa.Column("answer", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("left_person", sa.String(length=80), nullable=False),
        sa.Column("right_person", sa.String(length=80), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at", moment, nullable=False),
        sa.Column("needs_second", sa.String(length=120), nullable=False),
        sa.Column("second_by", sa.String(length=64), nullable=True),
        sa.Column("second_at", moment, nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.CheckConstraint("answer in ('one', 'two', 'unsure')"),
        sa.CheckConstraint("state in ('waiting', 'final', 'rejected', 'replaced')"),
        sa.CheckConstraint("(second_by is null) = (second_at is null)"),
        sa.CheckConstraint("second_by is null or second_by <> decided_by"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_linkdecision_number", "linkdecision", ["number"], unique=True)
    op.create_index("ix_linkdecision_pair", "linkdecision", ["pair"])
    op.create_index("ix_linkdecision_state", "linkdecision", ["state"])
