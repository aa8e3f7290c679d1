"""releases of products: who let one serve, on what, and who stopped it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "productstep",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("to", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("answered_by", sa.String(length=64), nullable=True),
        sa.Column("answered_at", moment, nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.CheckConstraint("\"to\" in ('shadow', 'live', 'suspended', 'retired')"),
        sa.CheckConstraint("state in ('waiting', 'final', 'rejected')"),
        sa.CheckConstraint("(answered_by is null) = (answered_at is null)"),
        sa.CheckConstraint("answered_by is null or answered_by <> asked_by"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_productstep_number", "productstep", ["number"], unique=True)
    op.create_index("ix_productstep_product", "productstep", ["product"])
