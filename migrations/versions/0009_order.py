"""Keep the order of acceptance: positions, leases apart from due times, subjects that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STORAGE = {
    "fillfactor": "70",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}
# A delivery's id names the moment at which it was accepted: a leased row's place is its own again.
_PLACE_OF_LEASED = """
update pending
set
    leased_until = due_at,
    due_at = to_timestamp(
        ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0
    )
where lease is not null
"""
_POSITIONS = """
with placed as (
    select id, row_number() over (order by id) as position from pending
)
update pending
set position = placed.position
from placed
where placed.id = pending.id
"""
_NEXT_POSITION = """
select setval(
    pg_get_serial_sequence('pending', 'position'),
    1 + (select coalesce(max(position), 0) from pending)
)
"""
_SUBJECTS = """
insert into subjects (integration_id, ordering, due_at, position)
select integration_id, ordering, to_timestamp(0), min(position)
from pending
where ordering is not null
group by integration_id, ordering
"""


def upgrade() -> None:
    op.add_column("pending", sa.Column("position", sa.BigInteger(), sa.Identity(), nullable=False))
    op.add_column(
        "pending",
        sa.Column("manual", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("pending", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(_PLACE_OF_LEASED)
    op.execute(_POSITIONS)
    op.execute(_NEXT_POSITION)
    op.drop_index("pending_ordering_idx", table_name="pending")
    op.drop_index("pending_integration_id_due_at_idx", table_name="pending")
    op.create_index(
        "pending_due_idx",
        "pending",
        ["integration_id", "due_at", "position"],
        postgresql_where=sa.text("leased_until is null and ordering is null"),
    )
    op.create_index(
        "pending_leased_until_idx",
        "pending",
        ["leased_until"],
        postgresql_where=sa.text("leased_until is not null"),
    )
    op.create_index(
        "pending_ordering_idx",
        "pending",
        ["integration_id", "ordering", "position", "id"],
        postgresql_where=sa.text("ordering is not null"),
    )
    op.create_table(
        "subjects",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("ordering", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "ordering", name=op.f("subjects_pkey")),
        postgresql_with=_STORAGE,
    )
    op.create_index("subjects_due_idx", "subjects", ["integration_id", "due_at", "position"])
    op.execute(_SUBJECTS)
    op.add_column(
        "integrations",
        sa.Column("ordering", sa.Text(), server_default=sa.text("'none'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("integrations_ordering_check"), "integrations", "ordering in ('none', 'subject')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("integrations_ordering_check"), "integrations", type_="check")
    op.drop_column("integrations", "ordering")
    op.drop_table("subjects")
    op.execute("update pending set due_at = leased_until where lease is not null")
    op.drop_index("pending_ordering_idx", table_name="pending")
    op.drop_index("pending_leased_until_idx", table_name="pending")
    op.drop_index("pending_due_idx", table_name="pending")
    op.create_index("pending_integration_id_due_at_idx", "pending", ["integration_id", "due_at"])
    op.create_index(
        "pending_ordering_idx",
        "pending",
        ["integration_id", "ordering", "id"],
        postgresql_where=sa.text("ordering is not null"),
    )
    op.drop_column("pending", "leased_until")
    op.drop_column("pending", "manual")
    op.drop_column("pending", "position")
