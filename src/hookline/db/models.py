"""Every table, as SQLAlchemy sees it; `alembic check` holds the migrations to this file.

Writers (one for each table): integrations, integration_health, idempotency_keys, notices,
exhausted_deliveries, pbxs, api_keys and revision belong to `integrations/`; all the others belong
to `queue/`.

`events`, `deliveries` and `attempts` are partitioned by day. Their key is a UUIDv7, which names
its own day, so the key alone tells the partition. `pending` holds only what is not finished and
is the one hot table; a delivery moves from it to `deliveries` when it settles.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "pk": "%(table_name)s_pkey",
}


class Base(DeclarativeBase):
    """What all tables share: one naming convention, aware timestamps, unbounded text."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this as a plain class attribute
        str: Text(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),  # documents of ours, never a payload: JSONB changes numbers
    }


class Integration(Base):
    """An integration record. A deleted one stays, without its secrets, to name its deliveries."""

    __tablename__ = "integrations"
    __table_args__ = (
        CheckConstraint("pbx is not null or company is not null", name="tenant"),
        CheckConstraint("max_in_flight between 1 and 1000", name="max_in_flight"),
        CheckConstraint("rate_limit between 0.1 and 1000", name="rate_limit"),
        CheckConstraint("ordering in ('none', 'subject')", name="ordering"),
        Index("integrations_pbx_idx", "pbx"),
        Index("integrations_company_idx", "company"),
        Index("integrations_revision_idx", "revision"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[UUID] = mapped_column(unique=True)  # a UUIDv7: newest first, stable cursors
    pbx: Mapped[str | None]
    company: Mapped[str | None]
    company_vouched: Mapped[bool]  # somebody entitled to it said that the company is right
    name: Mapped[str]
    named: Mapped[bool] = mapped_column(server_default=text("true"))  # else: the URL's host
    enabled: Mapped[bool]
    type: Mapped[str]
    url: Mapped[str]
    access_key_id: Mapped[str | None]
    headers: Mapped[bytes | None]  # sealed JSON: customers put credentials of their own here
    secret: Mapped[bytes | None]  # sealed; none once the integration is deleted
    # Sealed, the newest first; each signs along until the time at its place in the other array.
    old_secrets: Mapped[list[bytes]] = mapped_column(
        ARRAY(LargeBinary()), server_default=text("'{}'")
    )
    old_secrets_until: Mapped[list[datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), server_default=text("'{}'")
    )
    events: Mapped[dict[str, Any]]
    ordering: Mapped[str] = mapped_column(server_default=text("'none'"))
    max_in_flight: Mapped[int]
    rate_limit: Mapped[float | None] = mapped_column(Double)  # deliveries a second
    disabled_reason: Mapped[str | None]
    disabled_by: Mapped[str | None]  # the name of the key that switched it off, or hookline
    disabled_at: Mapped[datetime | None]
    version: Mapped[int]  # counts changes: the ETag
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class IntegrationHealth(Base):
    """An integration that is not healthy: since when, why, and when its next probe may go.

    A table of its own, with a row for these alone: every process reads it whole now and then, and a
    thousand targets that fail at once make no event be matched anew, as changed integrations do.
    """

    __tablename__ = "integration_health"
    __table_args__ = (
        CheckConstraint("state in ('failing', 'paused')", name="state"),
        CheckConstraint("(state = 'paused') = (paused_until is not null)", name="paused"),
    )

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    failing_since: Mapped[datetime]
    last_error: Mapped[str | None]
    last_error_at: Mapped[datetime]
    paused_until: Mapped[datetime | None]
    probes: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class IdempotencyKey(Base):
    """A creation that may be sent again, known by its API key and the digest of what it sent."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("idempotency_keys_created_at_idx", "created_at"),
        Index("idempotency_keys_integration_id_idx", "integration_id"),
    )

    caller: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    integration_id: Mapped[str]
    result: Mapped[bytes | None]  # sealed; none once the integration is deleted
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WaitingNotice(Base):
    """What is to be told of an integration, until ingest has accepted it as an event.

    The event is made from the row alone, so that it is the same event however often it is made.
    """

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    type: Mapped[str]
    integration_id: Mapped[str]
    pbx: Mapped[str | None]
    company: Mapped[str | None]
    name: Mapped[str]
    data: Mapped[str]  # JSON text: what the type tells besides whom it is about
    told_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ExhaustedDeliveries(Base):
    """One integration's exhausted deliveries since the last notice of them, from all processes."""

    __tablename__ = "exhausted_deliveries"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]  # the next notice goes no earlier
    count: Mapped[int] = mapped_column(BigInteger)
    examples: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    last_error: Mapped[str | None]


class Pbx(Base):
    """What is known of a PBX: its company, its licence, and whether presence may go out."""

    __tablename__ = "pbxs"
    __table_args__ = (
        CheckConstraint("license in ('x-bees', 'collaboration')", name="license"),
        Index("pbxs_revision_idx", "revision"),
        Index("pbxs_company_idx", "company"),
    )

    pbx: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[UUID] = mapped_column(unique=True)  # a UUIDv7: newest first, stable cursors
    company: Mapped[str]
    license: Mapped[str]
    presence_events: Mapped[bool]
    revision: Mapped[int] = mapped_column(BigInteger)  # the ETag as well
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]  # such a row says nothing, but that snapshots forget it


class ApiKey(Base):
    """An API key, known by its hash alone."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("role in ('admin', 'manager', 'ingest')", name="role"),
        Index("api_keys_revision_idx", "revision"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]  # the key's first characters, to tell keys apart in a list
    name: Mapped[str | None]
    role: Mapped[str]
    pbx: Mapped[str | None]
    company: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(BigInteger)


class Revision(Base):
    """One row that counts changes to integrations, PBXs and keys, bumped in their transactions.

    A row and not a sequence: a sequence moves before its transaction commits.
    """

    __tablename__ = "revision"
    __table_args__ = (CheckConstraint("id", name="one_row"),)

    id: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    value: Mapped[int] = mapped_column(BigInteger)


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
        Index("events_type_id_idx", "type", "id"),
        Index("events_subject_idx", "subject"),
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
        Index("pending_integration_id_id_idx", "integration_id", "id"),  # lists: leased ones too
        Index(
            "pending_ordering_idx",
            "integration_id",
            "ordering",
            "position",
            "id",
            postgresql_where=text("ordering is not null"),
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
    manual: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # of the attempts
    claims: Mapped[int] = mapped_column(SmallInteger)  # leases taken: tells a poisonous delivery
    once: Mapped[bool]  # asked for by hand: one attempt, no automatic retry behind it
    due_at: Mapped[datetime]  # when it was accepted, or its retry is due
    lease: Mapped[int | None] = mapped_column(BigInteger)
    leased_until: Mapped[datetime | None]


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
