"""The tables of records and of durable jobs; the queue's are in `queue_models`.

`alembic check` compares the migrations with both files.
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

_UNFINISHED = "state in ('counting', 'running')"
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
    headers: Mapped[bytes | None]  # encrypted JSON: customers put credentials of their own here
    secret: Mapped[bytes | None]  # encrypted; none once the integration is deleted
    # Encrypted, the newest first; each signs along until the time at its place in the other array.
    old_secrets: Mapped[list[bytes]] = mapped_column(
        ARRAY(LargeBinary()), server_default=text("'{}'")
    )
    old_secrets_until: Mapped[list[datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), server_default=text("'{}'")
    )
    events: Mapped[dict[str, Any]]
    filter: Mapped[str | None]  # JSON text as it was given: JSONB changes numbers, and takes no NUL
    omit: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))  # paths
    delivery: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # by group
    ordering: Mapped[str] = mapped_column(server_default=text("'none'"))
    max_in_flight: Mapped[int | None]  # null: adapts to the target
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
    result: Mapped[bytes | None]  # encrypted; none once the integration is deleted
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
        CheckConstraint("retention_days between 1 and 3650", name="retention_days"),
        Index("pbxs_revision_idx", "revision"),
        Index("pbxs_company_idx", "company"),
    )

    pbx: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[UUID] = mapped_column(unique=True)  # a UUIDv7: newest first, stable cursors
    company: Mapped[str]
    license: Mapped[str]
    presence_events: Mapped[bool]
    retention_days: Mapped[int | None] = mapped_column(Integer)  # None: as everybody's
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


class CustomEventType(Base):
    """An event type that administrators added to the catalogue."""

    __tablename__ = "event_types"
    __table_args__ = (
        CheckConstraint("format in ('json', 'text')", name="format"),
        Index("event_types_revision_idx", "revision"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    group: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    format: Mapped[str]
    licensed: Mapped[bool]
    example: Mapped[bytes]  # a canonical envelope: JSONB would change its numbers
    revision: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]  # such a row says nothing, but that snapshots forget it


class UnknownEventType(Base):
    """A name that came in events and is not in the catalogue; the most frequent ones are kept."""

    __tablename__ = "unknown_event_types"

    name: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ServiceProcess(Base):
    """A process of the service, as it last said of itself. Rates are per second.

    Nothing rests on it but the system's overview: engines count each other by their locks.
    """

    __tablename__ = "processes"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)  # written anew every few seconds

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    engine: Mapped[bool]
    api: Mapped[bool]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    accepted_rate: Mapped[float] = mapped_column(Double)
    delivered_rate: Mapped[float] = mapped_column(Double)
    failed_rate: Mapped[float] = mapped_column(Double)
    leased: Mapped[int]
    in_flight: Mapped[int]


class Revision(Base):
    """One row that counts changes to integrations, PBXs and keys, bumped in their transactions.

    A row and not a sequence: a sequence moves before its transaction commits.
    """

    __tablename__ = "revision"
    __table_args__ = (CheckConstraint("id", name="one_row"),)

    id: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    value: Mapped[int] = mapped_column(BigInteger)


class Job(Base):
    """A replay or an erasure. It walks over ids: `cursor` is the last one that is dealt with.

    What a page does and the cursor's move are one transaction under this row's lock, so a process
    that dies leaves nothing half done, and nothing is done twice.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("kind in ('replay', 'erasure')", name="kind"),
        CheckConstraint(
            "state in ('counting', 'running', 'done', 'cancelled', 'failed')", name="state"
        ),
        Index("jobs_integration_id_id_idx", "integration_id", "id"),
        Index("jobs_due_idx", "next_at", postgresql_where=text(_UNFINISHED)),
        Index(
            "jobs_one_replay_idx",
            "integration_id",
            unique=True,
            postgresql_where=text(f"kind = 'replay' and {_UNFINISHED}"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)  # a UUIDv7
    kind: Mapped[str]
    state: Mapped[str]
    integration_id: Mapped[str | None]  # of a replay
    asked: Mapped[dict[str, Any]]  # what the caller asked for, as the API shows it
    created_by: Mapped[str]  # the name of the key
    first: Mapped[UUID]  # where the cursor begins: nothing up to this id is looked at
    beyond: Mapped[UUID]  # the lowest id that is not looked at any more
    cursor: Mapped[UUID]
    page_end: Mapped[UUID | None]  # of an erasure: the page that is to be looked at once more
    rate_limit: Mapped[float | None] = mapped_column(Double)  # deliveries a second
    # Of a replay: how many of its lane's deliveries may wait until it adds no more.
    most_waiting: Mapped[int] = mapped_column(Integer, server_default=text("50"))
    total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    worked_on: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    delivered: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    failed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    skipped: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    faults: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # in a row
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class JobOutcome(Base):
    """What one statement settled of a replay's deliveries, until it is added to the job's row.

    A row of its own for each: settling never waits for the lock on the job's row.
    """

    __tablename__ = "job_outcomes"
    __table_args__ = (
        Index("job_outcomes_job_id_idx", "job_id"),
        {
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": "0.02",
                "autovacuum_vacuum_threshold": "1000",
                "autovacuum_vacuum_cost_delay": "0",
            }
        },
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID]
    delivered: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    skipped: Mapped[int] = mapped_column(BigInteger)
