"""List PBX records newest first, and know of those that were deleted."""

import sqlalchemy as sa
from alembic import op

from hookline.domain.ids import new_uuid

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pbxs", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.add_column("pbxs", sa.Column("sequence", sa.Uuid()))
    records = sa.table("pbxs", sa.column("pbx"), sa.column("updated_at"), sa.column("sequence"))
    connection = op.get_bind()
    oldest_first = sa.select(records.c.pbx).order_by(records.c.updated_at)
    for pbx in connection.scalars(oldest_first).all():
        numbered = records.update().where(records.c.pbx == pbx).values(sequence=new_uuid())
        connection.execute(numbered)
    op.alter_column("pbxs", "sequence", nullable=False)
    op.create_unique_constraint(op.f("pbxs_sequence_key"), "pbxs", ["sequence"])
    op.create_index("pbxs_company_idx", "pbxs", ["company"])


def downgrade() -> None:
    op.drop_index("pbxs_company_idx", "pbxs")
    op.drop_constraint(op.f("pbxs_sequence_key"), "pbxs")
    op.drop_column("pbxs", "sequence")
    op.drop_column("pbxs", "deleted_at")
