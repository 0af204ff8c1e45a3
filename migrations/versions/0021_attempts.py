"""Tell receivers why there is another attempt, and customers how large what was too large is."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pending", sa.Column("last_error", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("body_bytes", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "body_bytes")
    op.drop_column("pending", "last_error")
