"""The tables that `queue/` writes; those of `integrations/` are in `models`.

`events`, `deliveries` and `attempts` are partitioned by day. Their key is a UUIDv7, which names
its own day, so the key alone tells the partition. `pending` holds only what is not finished and
is the one hot table; a delivery moves from it to `deliveries` when it settles.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from hookline.db.models import Base

_LEASED = text("(leased_until is not null)")
_WAITS = "leased_until is null"


class EventKey(Base):
    """What recognises a duplicate: the digest of an accepted event, and the event it first was.

    Not partitioned, so that two copies around midnight still meet in one unique index.
    """

    __tablename__ = "event_keys"
    __table_args__ = (
        # Rows lie in the order of their event ids: a BRIN index costs an insert nothing.
        Index("event_keys_event_id_idx", "event_id", postgresql_using="brin"),
    )

    digest: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]


class AcceptedEvent(Base):
    """An accepted event, its canonical bytes, and which integrations did not get it, and why."""

    __tablename__ = "events"
    __table_args__ = (
        # The type stands behind the id, so that a filter by it is tried within the index.
        Index("events_pbx_id_type_idx", "pbx", "id", "type"),
        Index("events_company_id_type_idx", "company", "id", "type"),
        Index("events_pbx_type_id_idx", "pbx", "type", "id"),  # of a type that is rare there
        Index("events_company_type_id_idx", "company", "type", "id"),
        Index("events_type_id_idx", "type", "id"),
        Index("events_subject_id_idx", "subject", "id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    pbx: Mapped[str | None]  # the PBX that it was routed by
    company: Mapped[str]
    type: Mapped[str]
    subject: Mapped[str]
    time: Mapped[int] = mapped_column(BigInteger)  # the envelope's: epoch milliseconds
    payload: Mapped[bytes]
    splice: Mapped[int] = mapped_column(Integer)  # where `integrationId` goes in
    skipped: Mapped[str | None]  # JSON text: reason → integration ids
    erased_at: Mapped[datetime | None]  # its payload then holds what the other columns say
    # Of the request that brought it, where traces are on; a tracestate stands in a second line.
    traceparent: Mapped[str | None]


class PendingDelivery(Base):
    """A delivery that is not finished. Leased is: `leased_until` set, `lease` being the token.

    `due_at` stays what it was while it is leased: whatever becomes of a lease, its place is kept.
    """

    __tablename__ = "pending"
    __table_args__ = (
        Index(
            "pending_due_idx",
            "integration_id",
            "due_at",
            "position",
            postgresql_where=text("leased_until is null and ordering is null"),
        ),
        Index(
            "pending_leased_until_idx",
            "leased_until",
            postgresql_where=text("leased_until is not null"),
        ),
        Index("pending_event_id_idx", "event_id"),
        # For lists. The row compared with its first column is of no use to any other statement.
        Index("pending_leased_integration_idx", _LEASED, "integration_id", "id"),
        Index("pending_waiting_type_idx", "type", "id", postgresql_where=text(_WAITS)),
        Index(
            "pending_waiting_integration_type_idx",
            "integration_id",
            "type",
            "id",
            postgresql_where=text(_WAITS),
        ),
        Index("pending_replay_idx", "replay", postgresql_where=text("replay is not null")),
        Index(
            "pending_ordering_idx",
            "integration_id",
            "ordering",
            "position",
            "id",
            postgresql_where=text("ordering is not null"),
        ),
        Index("pending_stale_at_idx", "stale_at", postgresql_where=text("stale_at is not null")),
        Index(
            "pending_replacement_key_idx",
            "integration_id",
            "replacement_key",
            "position",
            postgresql_where=text("replacement_key is not null"),
        ),
        Index(
            "pending_leased_subject_idx",
            "integration_id",
            "ordering",
            postgresql_where=text("ordering is not null and leased_until is not null"),
        ),
        {
            # Settled rows are dead rows: vacuum early, and leave room for updates in the page.
            "postgresql_with": {
                "fillfactor": "70",
                "autovacuum_vacuum_scale_factor": "0.02",
                "autovacuum_vacuum_threshold": "1000",
                "autovacuum_vacuum_cost_delay": "0",
            }
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    integration_id: Mapped[str]
    type: Mapped[str]
    ordering: Mapped[str | None]  # deliveries of one integration and ordering go one by one
    position: Mapped[int] = mapped_column(BigInteger, Identity())  # the order of acceptance
    attempts: Mapped[int] = mapped_column(SmallInteger)
    payload_bytes: Mapped[int | None] = mapped_column(Integer)  # its event's: claims are bounded
    manual: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # of the attempts
    claims: Mapped[int] = mapped_column(SmallInteger)  # leases taken: tells a poisonous delivery
    once: Mapped[bool]  # asked for by hand: one attempt, no automatic retry behind it
    due_at: Mapped[datetime]  # when it was accepted, or its retry is due
    lease: Mapped[int | None] = mapped_column(BigInteger)
    leased_until: Mapped[datetime | None]
    stale_at: Mapped[datetime | None]  # from when on it is not worth sending
    replacement_key: Mapped[UUID | None]  # the newest of one integration and key replaces the rest
    omit: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # paths that its copy leaves out
    replay: Mapped[UUID | None]  # the job that queued it
    last_error: Mapped[str | None]  # of the attempt before the next one


class WaitingSubject(Base):
    """A subject of an integration that keeps order: when the first of its deliveries may go.

    `due_at` is a hint, made anew from `pending` where it is the epoch; `position` is that first
    delivery's. `version` counts the changes of the subject's deliveries but for claims.
    """

    __tablename__ = "subjects"
    __table_args__ = (
        Index("subjects_due_idx", "integration_id", "due_at", "position"),
        {
            "postgresql_with": {
                "fillfactor": "70",
                "autovacuum_vacuum_scale_factor": "0.02",
                "autovacuum_vacuum_threshold": "1000",
                "autovacuum_vacuum_cost_delay": "0",
            }
        },
    )

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    ordering: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    position: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class RateLimit(Base):
    """What an integration with a rate limit has used of it, shared by all processes.

    At `used_until` all that was allowed so far is used up; a rate allows the next delivery then.
    """

    __tablename__ = "rate_limits"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    used_until: Mapped[datetime]


class FinishedDelivery(Base):
    """A delivery that is finished: delivered, failed or skipped."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("status in ('delivered', 'failed', 'skipped')", name="status"),
        Index(
            "deliveries_integration_id_id_status_type_idx", "integration_id", "id", "status", "type"
        ),
        Index("deliveries_type_id_idx", "type", "id"),
        Index(
            "deliveries_undelivered_idx",
            "status",
            "id",
            "type",
            postgresql_where=text("status <> 'delivered'"),  # most are, and cost nothing here
        ),
        Index(
            "deliveries_undelivered_type_idx",
            "status",
            "type",
            "id",
            postgresql_where=text("status <> 'delivered'"),
        ),
        Index(
            "deliveries_undelivered_integration_idx",
            "integration_id",
            "status",
            "id",
            postgresql_where=text("status <> 'delivered'"),
        ),
        Index(
            "deliveries_undelivered_integration_type_idx",
            "integration_id",
            "status",
            "type",
            "id",
            postgresql_where=text("status <> 'delivered'"),
        ),
        Index(
            "deliveries_integration_id_type_id_status_idx", "integration_id", "type", "id", "status"
        ),
        Index("deliveries_event_id_idx", "event_id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    integration_id: Mapped[str]
    type: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    finished_at: Mapped[datetime]
    omit: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # what its copy left out
    replay: Mapped[UUID | None]  # the job that queued it


class DeliveryAttempt(Base):
    """One attempt of a delivery; kept for as long as its delivery is."""

    __tablename__ = "attempts"
    __table_args__ = ({"postgresql_partition_by": "RANGE (delivery_id)"},)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    started_at: Mapped[datetime]
    duration_ms: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str]
    error: Mapped[str | None]
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    response: Mapped[bytes | None]  # at most 4 KiB, whatever bytes they were
    response_defect: Mapped[str | None]
    tls_reason: Mapped[str | None]
    body_bytes: Mapped[int | None] = mapped_column(Integer)  # of a copy that was too large


class SettledBatch(Base):
    """What one statement settled, an element of each array for each delivery; kept for minutes.

    Roll-ups are counted from it and streams follow it. `codes` are those of `domain.statistics`.
    """

    __tablename__ = "settlements"
    __table_args__ = (
        Index("settlements_uncounted_idx", "id", postgresql_where=text("not counted")),
        {
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": "0.02",
                "autovacuum_vacuum_threshold": "1000",
                "autovacuum_vacuum_cost_delay": "0",
            }
        },
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    settled_at: Mapped[datetime] = mapped_column(server_default=func.now())
    counted: Mapped[bool] = mapped_column(server_default=false())  # whether roll-ups have it
    integrations: Mapped[list[str]] = mapped_column(ARRAY(Text))
    deliveries: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    codes: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class DayOfRollUps(Base):
    """What was counted of an integration on one day (UTC), by hour; of all of them under ''."""

    __tablename__ = "roll_ups"
    __table_args__ = (Index("roll_ups_day_idx", "day"),)

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    hours: Mapped[bytes]  # MessagePack: hour → RollUp
