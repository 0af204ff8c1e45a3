"""Keep how integrations fare, who switched them off, and how fast they may be sent to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "integration_health",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(state = 'paused') = (paused_until is not null)",
            name=op.f("integration_health_paused_check"),
        ),
        sa.CheckConstraint(
            "state in ('failing', 'paused')", name=op.f("integration_health_state_check")
        ),
        sa.PrimaryKeyConstraint("integration_id", name=op.f("integration_health_pkey")),
    )
    op.create_table(
        "rate_limits",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("used_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", name=op.f("rate_limits_pkey")),
    )
    op.add_column("integrations", sa.Column("rate_limit", sa.Double(), nullable=True))
    op.add_column("integrations", sa.Column("disabled_by", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("integrations_rate_limit_check"), "integrations", "rate_limit between 0.1 and 1000"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("integrations_rate_limit_check"), "integrations", type_="check")
    op.drop_column("integrations", "disabled_by")
    op.drop_column("integrations", "rate_limit")
    op.drop_table("rate_limits")
    op.drop_table("integration_health")
