"""Let a PBX have a retention of its own, shorter than everybody's."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # pbxs has a row for each PBX, not for each event: checking it takes milliseconds.
    op.add_column("pbxs", sa.Column("retention_days", sa.Integer(), nullable=True))
    op.create_check_constraint(
        "pbxs_retention_days_check", "pbxs", "retention_days between 1 and 3650"
    )


def downgrade() -> None:
    op.drop_column("pbxs", "retention_days")
