"""The tables of durable jobs, which `history/jobs` writes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Identity,
    Index,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from hookline.db.models import Base

_UNFINISHED = "state in ('counting', 'running')"


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
