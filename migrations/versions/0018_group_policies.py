"""Keep until when events are worth sending, what replaces them, and what their copies leave out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "integrations",
        sa.Column(
            "delivery",
            postgresql.JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    # No row has these yet, so making the indexes reads the table once, and writes nothing.
    op.add_column("pending", sa.Column("stale_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("pending", sa.Column("replacement_key", sa.Uuid(), nullable=True))
    op.add_column("pending", sa.Column("omit", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("deliveries", sa.Column("omit", postgresql.ARRAY(sa.Text()), nullable=True))
    op.create_index(
        "pending_stale_at_idx",
        "pending",
        ["stale_at"],
        postgresql_where=sa.text("stale_at is not null"),
    )
    op.create_index(
        "pending_replacement_key_idx",
        "pending",
        ["integration_id", "replacement_key", "position"],
        postgresql_where=sa.text("replacement_key is not null"),
    )


def downgrade() -> None:
    op.drop_index("pending_replacement_key_idx", table_name="pending")
    op.drop_index("pending_stale_at_idx", table_name="pending")
    op.drop_column("deliveries", "omit")
    op.drop_column("pending", "omit")
    op.drop_column("pending", "replacement_key")
    op.drop_column("pending", "stale_at")
    op.drop_column("integrations", "delivery")
