"""the monitor of unusual access: keyed tokens, days judged, items and decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "monitormember",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.JSON(), nullable=False),
        sa.Column("team", sa.String(length=32), nullable=False),
        sa.Column("enrolled_at", moment, nullable=False),
        sa.Column("enrolled_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "monitorsubject",
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.JSON(), nullable=False),
        sa.Column("last_day", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "monitormark",
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("mark", sa.String(length=8), nullable=False),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_at", moment, nullable=False),
        sa.CheckConstraint("mark in ('marked', 'decoy')"),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "monitorday",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("weights", sa.String(length=16), nullable=False),
        sa.Column("judged_at", moment, nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "monitoritem",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("team", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.CheckConstraint("state in ('open', 'waiting', 'closed')"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_monitoritem_number", "monitoritem", ["number"], unique=True)
    op.create_index("ix_monitoritem_actor", "monitoritem", ["actor"])
    op.create_index("ix_monitoritem_state", "monitoritem", ["state"])
    op.create_table(
        "monitordecision",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("item", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at", moment, nullable=False),
        sa.Column("second_by", sa.String(length=64), nullable=True),
        sa.Column("second_at", moment, nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.CheckConstraint("outcome in ('explained', 'spoken_to', 'misuse', 'cannot_tell')"),
        sa.CheckConstraint("state in ('waiting', 'final', 'rejected')"),
        sa.CheckConstraint("(second_by is null) = (second_at is null)"),
        sa.CheckConstraint("second_by is null or second_by <> decided_by"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_monitordecision_item", "monitordecision", ["item"])
