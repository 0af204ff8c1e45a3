"""Make the first tables: records, and the queue."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "role in ('admin', 'manager', 'ingest')", name=op.f("api_keys_role_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("hash", name=op.f("api_keys_hash_key")),
    )
    op.create_index("api_keys_revision_idx", "api_keys", ["revision"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("status_code", sa.SmallInteger(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("attempts_pkey")),
        postgresql_partition_by="RANGE (delivery_id)",
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status in ('delivered', 'failed', 'skipped')", name=op.f("deliveries_status_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("deliveries_event_id_idx", "deliveries", ["event_id"], unique=False)
    op.create_index(
        "deliveries_integration_id_id_idx", "deliveries", ["integration_id", "id"], unique=False
    )
    op.create_table(
        "event_keys",
        sa.Column("digest", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("event_keys_pkey")),
    )
    op.create_index(
        "event_keys_event_id_idx", "event_keys", ["event_id"], unique=False, postgresql_using="brin"
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("splice", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("events_company_id_idx", "events", ["company", "id"], unique=False)
    op.create_index("events_pbx_id_idx", "events", ["pbx", "id"], unique=False)
    op.create_index("events_subject_idx", "events", ["subject"], unique=False)
    op.create_table(
        "integrations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Uuid(), nullable=False),
        sa.Column("pbx", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column("company_vouched", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("access_key_id", sa.Text(), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("old_secret", sa.LargeBinary(), nullable=True),
        sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("events", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("max_in_flight", sa.Integer(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "max_in_flight between 1 and 1000", name=op.f("integrations_max_in_flight_check")
        ),
        sa.CheckConstraint(
            "pbx is not null or company is not null", name=op.f("integrations_tenant_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("integrations_pkey")),
        sa.UniqueConstraint("sequence", name=op.f("integrations_sequence_key")),
    )
    op.create_index("integrations_company_idx", "integrations", ["company"], unique=False)
    op.create_index("integrations_pbx_idx", "integrations", ["pbx"], unique=False)
    op.create_index("integrations_revision_idx", "integrations", ["revision"], unique=False)
    op.create_table(
        "pbxs",
        sa.Column("pbx", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("license", sa.Text(), nullable=False),
        sa.Column("presence_events", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "license in ('x-bees', 'collaboration')", name=op.f("pbxs_license_check")
        ),
        sa.PrimaryKeyConstraint("pbx", name=op.f("pbxs_pkey")),
    )
    op.create_index("pbxs_revision_idx", "pbxs", ["revision"], unique=False)
    op.create_table(
        "pending",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("ordering", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("claims", sa.SmallInteger(), nullable=False),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pending_pkey")),
        postgresql_with={
            "fillfactor": "70",
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_vacuum_threshold": "1000",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_index("pending_event_id_idx", "pending", ["event_id"], unique=False)
    op.create_index(
        "pending_integration_id_due_at_idx", "pending", ["integration_id", "due_at"], unique=False
    )
    op.create_index(
        "pending_ordering_idx",
        "pending",
        ["integration_id", "ordering", "id"],
        unique=False,
        postgresql_where=sa.text("ordering is not null"),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id", name=op.f("revision_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("revision_pkey")),
    )
    op.execute("insert into revision (value) values (1)")


def downgrade() -> None:
    op.drop_table("revision")
    op.drop_index(
        "pending_ordering_idx",
        table_name="pending",
        postgresql_where=sa.text("ordering is not null"),
    )
    op.drop_index("pending_integration_id_due_at_idx", table_name="pending")
    op.drop_index("pending_event_id_idx", table_name="pending")
    op.drop_table("pending")
    op.drop_index("pbxs_revision_idx", table_name="pbxs")
    op.drop_table("pbxs")
    op.drop_index("integrations_revision_idx", table_name="integrations")
    op.drop_index("integrations_pbx_idx", table_name="integrations")
    op.drop_index("integrations_company_idx", table_name="integrations")
    op.drop_table("integrations")
    op.drop_index("events_subject_idx", table_name="events")
    op.drop_index("events_pbx_id_idx", table_name="events")
    op.drop_index("events_company_id_idx", table_name="events")
    op.drop_table("events")
    op.drop_index("event_keys_event_id_idx", table_name="event_keys", postgresql_using="brin")
    op.drop_table("event_keys")
    op.drop_index("deliveries_integration_id_id_idx", table_name="deliveries")
    op.drop_index("deliveries_event_id_idx", table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_table("attempts")
    op.drop_index("api_keys_revision_idx", table_name="api_keys")
    op.drop_table("api_keys")
