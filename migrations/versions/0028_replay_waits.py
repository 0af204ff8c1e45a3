"""Keep with each replay how many of its lane's deliveries may wait until it adds no more.

The default is where it begins; a constant one rewrites no row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begins = sa.text("50")
    column = sa.Column("most_waiting", sa.Integer(), nullable=False, server_default=begins)
    op.add_column("jobs", column)


def downgrade() -> None:
    op.drop_column("jobs", "most_waiting")
