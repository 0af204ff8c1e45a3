"""Find failed deliveries, and what is of one type, among millions."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("events_pbx_id_type_idx", "events", ["pbx", "id", "type"])
    op.create_index("events_company_id_type_idx", "events", ["company", "id", "type"])
    op.create_index("events_type_id_idx", "events", ["type", "id"])
    op.drop_index("events_pbx_id_idx", table_name="events")
    op.drop_index("events_company_id_idx", table_name="events")
    op.create_index(
        "deliveries_integration_id_id_status_type_idx",
        "deliveries",
        ["integration_id", "id", "status", "type"],
    )
    op.create_index("deliveries_type_id_idx", "deliveries", ["type", "id"])
    op.create_index(
        "deliveries_undelivered_idx",
        "deliveries",
        ["status", "id", "type"],
        postgresql_where=sa.text("status <> 'delivered'"),
    )
    op.drop_index("deliveries_integration_id_id_idx", table_name="deliveries")


def downgrade() -> None:
    op.create_index("deliveries_integration_id_id_idx", "deliveries", ["integration_id", "id"])
    op.drop_index("deliveries_undelivered_idx", table_name="deliveries")
    op.drop_index("deliveries_type_id_idx", table_name="deliveries")
    op.drop_index("deliveries_integration_id_id_status_type_idx", table_name="deliveries")
    op.create_index("events_company_id_idx", "events", ["company", "id"])
    op.create_index("events_pbx_id_idx", "events", ["pbx", "id"])
    op.drop_index("events_type_id_idx", table_name="events")
    op.drop_index("events_company_id_type_idx", table_name="events")
    op.drop_index("events_pbx_id_type_idx", table_name="events")
