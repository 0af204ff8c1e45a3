"""Keep with each attempt what of its response was not HTTP."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("response_defect", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "response_defect")
