"""Integrations may have a content filter."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("integrations", sa.Column("filter", sa.Text()))


def downgrade() -> None:
    op.drop_column("integrations", "filter")
