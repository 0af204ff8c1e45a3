"""Keep every rotated secret until its grace period is over, not the last one alone."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "integrations",
        sa.Column(
            "old_secrets",
            sa.ARRAY(sa.LargeBinary()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.add_column(
        "integrations",
        sa.Column(
            "old_secrets_until",
            sa.ARRAY(sa.DateTime(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.execute(
        "update integrations"
        " set old_secrets = array[old_secret], old_secrets_until = array[old_secret_until]"
        " where old_secret is not null and old_secret_until > now()"
    )
    op.drop_column("integrations", "old_secret")
    op.drop_column("integrations", "old_secret_until")


def downgrade() -> None:
    op.add_column("integrations", sa.Column("old_secret", sa.LargeBinary(), nullable=True))
    op.add_column(
        "integrations", sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute(
        "update integrations"
        " set old_secret = old_secrets[1], old_secret_until = old_secrets_until[1]"
    )
    op.drop_column("integrations", "old_secrets_until")
    op.drop_column("integrations", "old_secrets")
