"""Keep payloads and answers out of the planner's statistics, which would outlive an erasure.

Both statements change catalogs alone, of the days' partitions too. The second one sets the type
that the column has already: that drops what was sampled before, and rewrites nothing.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_COLUMNS = {"events": "payload", "attempts": "response"}


def upgrade() -> None:
    for table, column in _COLUMNS.items():
        op.execute(f"alter table {table} alter {column} set statistics 0")
        op.execute(f"alter table {table} alter {column} type bytea")


def downgrade() -> None:
    for table, column in _COLUMNS.items():
        op.execute(f"alter table {table} alter {column} set statistics -1")
