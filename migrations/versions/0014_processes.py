"""Keep a row for each process of the service, for the system's overview."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "processes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("engine", sa.Boolean(), nullable=False),
        sa.Column("api", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_rate", sa.Double(), nullable=False),
        sa.Column("delivered_rate", sa.Double(), nullable=False),
        sa.Column("failed_rate", sa.Double(), nullable=False),
        sa.Column("leased", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="processes_pkey"),
        prefixes=["unlogged"],  # what is lost in a crash is written again within seconds
    )


def downgrade() -> None:
    op.drop_table("processes")
