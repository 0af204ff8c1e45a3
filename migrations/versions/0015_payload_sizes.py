"""Keep the size of an event's payload with its deliveries: a claim need not look at events."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pending", sa.Column("payload_bytes", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("pending", "payload_bytes")
