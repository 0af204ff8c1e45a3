"""Log settlements for a few minutes, and keep what is counted of them by integration and hour."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OFTEN_VACUUMED = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}


def upgrade() -> None:
    op.create_table(
        "settlements",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column(
            "settled_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("counted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("integrations", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("deliveries", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("settlements_pkey")),
        postgresql_with=_OFTEN_VACUUMED,
    )
    op.create_index(
        "settlements_uncounted_idx",
        "settlements",
        ["id"],
        postgresql_where=sa.text("not counted"),
    )
    op.create_table(
        "roll_ups",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hours", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "day", name=op.f("roll_ups_pkey")),
    )
    op.create_index("roll_ups_day_idx", "roll_ups", ["day"])


def downgrade() -> None:
    op.drop_table("roll_ups")
    op.drop_table("settlements")
