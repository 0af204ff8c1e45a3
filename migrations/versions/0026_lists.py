"""Let lists find what is rare: by tenant or integration and type, and by status.

The indexes are made on the parents alone here, in no time; `hookline migrate` then builds those of
the days' partitions one by one, concurrently, the newest first; others read and write meanwhile.
Until then a search by subject is slow: its index is replaced.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_UNDELIVERED = "where status <> 'delivered'"
_INDEXES = {
    "events_pbx_type_id_idx": "events (pbx, type, id)",
    "events_company_type_id_idx": "events (company, type, id)",
    "events_subject_id_idx": "events (subject, id)",
    "deliveries_integration_id_type_id_status_idx": "deliveries (integration_id, type, id, status)",
    "deliveries_undelivered_type_idx": f"deliveries (status, type, id) {_UNDELIVERED}",
    "deliveries_undelivered_integration_idx": "deliveries (integration_id, status, id)"
    f" {_UNDELIVERED}",
    "deliveries_undelivered_integration_type_idx": "deliveries (integration_id, status, type, id)"
    f" {_UNDELIVERED}",
}


def upgrade() -> None:
    for name, where in _INDEXES.items():
        op.execute(f"create index {name} on only {where}")
    op.drop_index("events_subject_idx")


def downgrade() -> None:
    op.create_index("events_subject_idx", "events", ["subject"])
    for name in _INDEXES:
        op.drop_index(name)
