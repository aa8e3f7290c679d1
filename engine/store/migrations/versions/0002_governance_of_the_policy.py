"""governance of the policy: changes, answers, stops, registers and reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    with op.batch_alter_table("account") as batch:
        batch.add_column(sa.Column("training_until", sa.String(length=10), nullable=True))
    with op.batch_alter_table("policypointer") as batch:
        batch.add_column(
            sa.Column("previous", sa.String(length=64), nullable=False, server_default="")
        )
    op.create_table(
        "policychange",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", moment, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("state in ('open', 'active', 'rejected', 'withdrawn', 'replaced')"),
    )
    op.create_index("ix_policychange_number", "policychange", ["number"], unique=True)
    op.create_table(
        "policyanswer",
        sa.Column("change", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("change", "user", "kind"),
        sa.CheckConstraint("answer in ('approve', 'reject', 'advise')"),
    )
    op.create_table(
        "agreementstop",
        sa.Column("agreement", sa.String(length=64), nullable=False),
        sa.Column("stopped_by", sa.String(length=64), nullable=False),
        sa.Column("stopped_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("agreement"),
    )
    op.create_table(
        "flagregister",
        sa.Column("flag", sa.String(length=32), nullable=False),
        sa.Column("declared_by", sa.String(length=64), nullable=False),
        sa.Column("declared_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("flag"),
    )
    op.create_table(
        "accessreview",
        sa.Column("reveal", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("due", sa.String(length=10), nullable=False),
        sa.Column("reviewed_by", sa.String(length=64), nullable=True),
        sa.Column("reviewed_at", moment, nullable=True),
        sa.Column("finding", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("reveal"),
        sa.CheckConstraint("(reviewed_by is null) = (reviewed_at is null)"),
    )
    op.create_index("ix_accessreview_user", "accessreview", ["user"])
    op.create_table(
        "owednotice",
        sa.Column("reveal", sa.String(length=40), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=False),
        sa.Column("queued_at", moment, nullable=False),
        sa.Column("told_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("reveal", "agency"),
    )
