"""deliveries that pause, replace and are withdrawn; clients that send."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    with op.batch_alter_table("delivery") as batch:
        batch.add_column(
            sa.Column("state", sa.String(length=12), nullable=False, server_default="accepted")
        )
        batch.add_column(
            sa.Column("mode", sa.String(length=8), nullable=False, server_default="delta")
        )
        batch.add_column(sa.Column("window_first", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("window_last", sa.Integer(), nullable=True))
        batch.add_column(
            sa.Column("plain", sa.Boolean(), nullable=False, server_default=sa.true())
        )
        batch.add_column(
            sa.Column("history", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch.add_column(sa.Column("decided_by", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("decided_at", moment, nullable=True))
        batch.create_check_constraint(
            "delivery_state", "state in ('accepted', 'paused', 'refused', 'withdrawn')"
        )
    op.create_table(
        "deliverydetail",
        sa.Column("delivery", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("delivery"),
    )
    op.create_table(
        "statedflag",
        sa.Column("delivery", sa.String(length=40), nullable=False),
        sa.Column("record", sa.String(length=80), nullable=False),
        sa.Column("flag", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(length=1), nullable=False),
        sa.PrimaryKeyConstraint("delivery", "record", "flag"),
    )
    op.create_index("ix_statedflag_record", "statedflag", ["record"])
    op.create_table(
        "apiclient",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("expires", sa.String(length=10), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "apitoken",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=40), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )
