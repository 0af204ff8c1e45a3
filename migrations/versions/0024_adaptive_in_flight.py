"""Let an integration have no `maxInFlight` of its own: it adapts to its target.

The column was mandatory. Numbers that integrations have, they keep.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("integrations", "max_in_flight", nullable=True)


def downgrade() -> None:
    op.execute("update integrations set max_in_flight = 16 where max_in_flight is null")
    op.alter_column("integrations", "max_in_flight", nullable=False)
