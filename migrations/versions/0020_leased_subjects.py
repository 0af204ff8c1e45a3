"""Find what is leased of a subject: while anything is, nothing else of it may start."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "pending_leased_subject_idx",
        "pending",
        ["integration_id", "ordering"],
        postgresql_where=sa.text("ordering is not null and leased_until is not null"),
    )


def downgrade() -> None:
    op.drop_index("pending_leased_subject_idx", table_name="pending")
