"""Find what waits of a type, and pay for it only where something waits.

The index of everything pending gets in front whether it is leased, so that this can be read apart;
the two with the type have nothing but what waits. Writers of `pending` wait while all are built:
some seconds for a million rows on a machine that is not busy.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_LEASED = sa.text("(leased_until is not null)")
_WAITS = sa.text("leased_until is null")
_WAITING = {
    "pending_waiting_integration_type_idx": ["integration_id", "type", "id"],
    "pending_waiting_type_idx": ["type", "id"],
}


def upgrade() -> None:
    for name, columns in _WAITING.items():
        op.create_index(name, "pending", columns, postgresql_where=_WAITS)
    op.create_index("pending_leased_integration_idx", "pending", [_LEASED, "integration_id", "id"])
    op.drop_index("pending_integration_id_id_idx", table_name="pending")


def downgrade() -> None:
    op.create_index("pending_integration_id_id_idx", "pending", ["integration_id", "id"])
    op.drop_index("pending_leased_integration_idx", table_name="pending")
    for name in _WAITING:
        op.drop_index(name, table_name="pending")
