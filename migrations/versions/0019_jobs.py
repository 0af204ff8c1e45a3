"""Durable jobs: replays and erasures, and what marks the deliveries and events they touched."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_UNFINISHED = "state in ('counting', 'running')"
_OFTEN_VACUUMED = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=True),
        sa.Column("asked", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("first", sa.Uuid(), nullable=False),
        sa.Column("beyond", sa.Uuid(), nullable=False),
        sa.Column("cursor", sa.Uuid(), nullable=False),
        sa.Column("page_end", sa.Uuid(), nullable=True),
        sa.Column("rate_limit", sa.Double(), nullable=True),
        _count("total"),
        _count("worked_on"),
        _count("delivered"),
        _count("failed"),
        _count("skipped"),
        sa.Column("faults", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind in ('replay', 'erasure')", name=op.f("jobs_kind_check")),
        sa.CheckConstraint(
            "state in ('counting', 'running', 'done', 'cancelled', 'failed')",
            name=op.f("jobs_state_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_index("jobs_integration_id_id_idx", "jobs", ["integration_id", "id"])
    op.create_index("jobs_due_idx", "jobs", ["next_at"], postgresql_where=sa.text(_UNFINISHED))
    op.create_index(
        "jobs_one_replay_idx",
        "jobs",
        ["integration_id"],
        unique=True,
        postgresql_where=sa.text(f"kind = 'replay' and {_UNFINISHED}"),
    )
    op.create_table(
        "job_outcomes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("job_outcomes_pkey")),
        postgresql_with=_OFTEN_VACUUMED,
    )
    op.create_index("job_outcomes_job_id_idx", "job_outcomes", ["job_id"])
    # Columns without a default: no row is rewritten. The index is on what none has yet.
    op.add_column("pending", sa.Column("replay", sa.Uuid(), nullable=True))
    op.create_index(
        "pending_replay_idx",
        "pending",
        ["replay"],
        postgresql_where=sa.text("replay is not null"),
    )
    op.add_column("deliveries", sa.Column("replay", sa.Uuid(), nullable=True))
    op.add_column("events", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "erased_at")
    op.drop_column("deliveries", "replay")
    op.drop_index("pending_replay_idx", table_name="pending")
    op.drop_column("pending", "replay")
    op.drop_table("job_outcomes")
    op.drop_table("jobs")
