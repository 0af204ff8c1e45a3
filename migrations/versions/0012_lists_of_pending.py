"""List what an integration has pending, newest first, whatever is leased or keeps order."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("pending_integration_id_id_idx", "pending", ["integration_id", "id"])


def downgrade() -> None:
    op.drop_index("pending_integration_id_id_idx", table_name="pending")
