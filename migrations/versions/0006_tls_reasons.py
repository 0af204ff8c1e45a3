"""Keep with each attempt why TLS with its target did not come about."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("tls_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "tls_reason")
