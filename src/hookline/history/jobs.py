"""Durable jobs: replays and erasures asked for, shown, cancelled, and handed to their workers.

The writer of the tables `jobs` and `job_outcomes`, but for the settlements that add to the latter.
A job is worked on a page at a time, by one process at a time: what a page does and how far the job
has come are one transaction.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from hookline.db.errors import unavailable_when_away
from hookline.db.models import Integration, Job, JobOutcome
from hookline.db.statements import notification, statement
from hookline.db.visibility import integrations_seen_by
from hookline.domain.access import Principal
from hookline.domain.ids import new_uuid
from hookline.errors import Conflict, NotFound, Overloaded
from hookline.history.ranges import kept_days

JOBS_CHANNEL: Final = "hookline_jobs"  # NOTIFY says that there is something to do: a hint
MOST_UNFINISHED: Final = 1_000  # jobs of one kind: each has a page in the queue at the most
MOST_OF_TENANT: Final = 250  # of those replays, for a company or a PBX of none
_AT_ONCE = 1_000  # rows a statement: short transactions
_SLACK = timedelta(days=1)  # clocks differ, and a day's ids are made in its own minutes alone
_ADD_OUTCOMES = text(statement("history/add_job_outcomes"))
_FORGET = text(statement("history/forget_jobs"))


class JobKind(StrEnum):
    """What a job does."""

    REPLAY = "replay"
    ERASURE = "erasure"


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    COUNTING = "counting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class EndStatus(StrEnum):
    """How a delivery ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


_UNFINISHED = Job.state.in_([JobState.COUNTING.value, JobState.RUNNING.value])


class Jobs:
    """Jobs of both kinds. Another tenant's does not exist: NotFound. All raise Unavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def start(self, job: Job) -> Job:
        """Keep a new job and have it begun soon.

        Raises Conflict where the integration has an unfinished replay, and Overloaded where there
        are too many jobs, of all or of its tenant.
        """
        with unavailable_when_away():
            try:
                async with self._sessions.begin() as session:
                    await _check_room(session, job)
                    session.add(job)
                    await session.flush()
                    await session.execute(notification(JOBS_CHANNEL))
                    await session.refresh(job)
            except IntegrityError as error:
                raise Conflict(
                    "The integration has a replay that is not finished; wait for it or cancel it."
                ) from error
        return job

    async def read(self, principal: Principal, job_id: UUID, kind: JobKind) -> Job:
        """Return one job, with what became of its deliveries up to now."""
        with unavailable_when_away():
            async with self._sessions() as session:
                job = await session.scalar(
                    select(Job).where(Job.id == job_id, Job.kind == kind, _seen_by(principal, kind))
                )
                if job is None:
                    raise _no_such(job_id, kind)
                await _with_outcomes(session, [job])
        return job

    async def replays(
        self, principal: Principal, integration_id: str, *, before: UUID | None, limit: int
    ) -> Sequence[Job]:
        """Return up to `limit` replays of an integration older than `before`, newest first."""
        query = _newest(JobKind.REPLAY, Job.integration_id == integration_id, before, limit)
        with unavailable_when_away():
            async with self._sessions() as session:
                seen = select(Integration.id).where(
                    Integration.id == integration_id, integrations_seen_by(principal)
                )
                if await session.scalar(seen) is None:
                    raise NotFound(f"There is no integration {integration_id[:40]!a}.")
                jobs = (await session.scalars(query)).all()
                await _with_outcomes(session, jobs)
        return jobs

    async def erasures(self, *, before: UUID | None, limit: int) -> Sequence[Job]:
        """Return up to `limit` erasures older than `before`, newest first."""
        query = _newest(JobKind.ERASURE, Job.integration_id.is_(None), before, limit)
        with unavailable_when_away():
            async with self._sessions() as session:
                return (await session.scalars(query)).all()

    async def cancel(self, principal: Principal, job_id: UUID, kind: JobKind) -> Job:
        """Have nothing more done of a job; one that is finished stays as it is."""
        with unavailable_when_away():
            async with self._sessions.begin() as session:
                await session.execute(
                    update(Job)
                    .where(Job.id == job_id, Job.kind == kind, _seen_by(principal, kind))
                    .where(_UNFINISHED)
                    .values(state=JobState.CANCELLED, finished_at=func.now(), error=None)
                )
        return await self.read(principal, job_id, kind)

    @asynccontextmanager
    async def claim(self) -> AsyncIterator[tuple[AsyncSession, Job | None]]:
        """Claim the job that is due longest, and that no other process is at, if there is one.

        What is done with the session, and how the job is left, is kept together at the block's end.
        """
        due = (
            select(Job)
            .where(_UNFINISHED, Job.next_at <= func.now())
            .order_by(Job.next_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        with unavailable_when_away():
            async with self._sessions.begin() as session:
                yield session, await session.scalar(due)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that looks at what a job would do."""
        with unavailable_when_away():
            async with self._sessions() as session:
                yield session

    async def postpone(self, job_id: UUID, seconds: float, *, most_faults: int) -> None:
        """Try a job again later, whose page failed; give it up after so many failures in a row."""
        with unavailable_when_away():
            async with self._sessions.begin() as session:
                job = await session.scalar(
                    select(Job).where(Job.id == job_id, _UNFINISHED).with_for_update()
                )
                if job is None:
                    return
                job.faults += 1
                job.next_at = func.now() + timedelta(seconds=seconds)
                if job.faults >= most_faults:
                    finish(job, JobState.FAILED, "A fault of Hookline's own; the log tells more.")

    async def add_outcomes(self) -> None:
        """Add what was settled of replays' deliveries to their jobs' rows."""
        with unavailable_when_away():
            async with self._sessions.begin() as session:
                await session.execute(_ADD_OUTCOMES, {"most": _AT_ONCE})

    async def due_within(self, seconds: float) -> bool:
        """Tell whether a job is to be worked on within so many seconds."""
        soon = func.now() + timedelta(seconds=seconds)
        with unavailable_when_away():
            async with self._sessions() as session:
                query = select(Job.id).where(_UNFINISHED, Job.next_at <= soon).limit(1)
                return await session.scalar(query) is not None

    async def delete_before(self, edge: datetime) -> int:
        """Delete jobs that ended before `edge`; return how many."""
        gone = 0
        while True:
            with unavailable_when_away():
                async with self._sessions.begin() as session:
                    rows = await session.execute(_FORGET, {"edge": edge, "most": _AT_ONCE})
                    count = len(rows.all())
            gone += count
            if count < _AT_ONCE:
                return gone


class JobRetention:
    """Forgets jobs that ended more than `days` ago, and none whose deliveries are still there."""

    def __init__(self, jobs: Jobs, *, days: int) -> None:
        self._jobs = jobs
        self._days = days

    async def keep(self) -> None:
        """Forget what may go. Raises Unavailable."""
        edge = datetime.now(UTC) - timedelta(days=self._days)
        async with self._jobs.reading() as session:
            kept = await kept_days(await session.connection())
        if kept is not None:
            edge = min(edge, datetime.combine(kept[0], time(), UTC) - _SLACK)
        await self._jobs.delete_before(edge)


def new_job(  # noqa: PLR0913 - the columns that differ
    kind: JobKind,
    *,
    first: UUID,
    beyond: UUID,
    asked: dict[str, Any],  # Any: a JSON document
    principal: Principal,
    integration_id: str | None = None,
    rate_limit: float | None = None,
) -> Job:
    """Return a job that begins with counting."""
    return Job(
        id=new_uuid(),
        kind=kind.value,
        state=JobState.COUNTING.value,
        integration_id=integration_id,
        asked=asked,
        created_by=principal.label,
        first=first,
        beyond=beyond,
        cursor=first,
        rate_limit=rate_limit,
    )


def finish(job: Job, state: JobState, error: str | None = None) -> None:
    """End a job, in the caller's transaction."""
    job.state, job.error, job.finished_at = state.value, error, func.now()


def due_in(job: Job, seconds: float) -> None:
    """Have a job worked on again after so many seconds, by the database's clock."""
    job.next_at = func.now() + timedelta(seconds=seconds)


def _newest(
    kind: JobKind, whose: ColumnElement[bool], before: UUID | None, limit: int
) -> Select[Job]:
    """Return a query over the index of integrations' jobs, in which erasures have none."""
    query: Select[Job] = select(Job).where(whose, Job.kind == kind)
    if before is not None:
        query = query.where(Job.id < before)
    return query.order_by(Job.id.desc()).limit(limit)


async def _check_room(session: AsyncSession, job: Job) -> None:
    unfinished = select(func.count(Job.id)).where(Job.kind == job.kind, _UNFINISHED)
    if (await session.execute(unfinished)).scalar_one() >= MOST_UNFINISHED:
        raise Overloaded(
            f"There are {MOST_UNFINISHED:,} unfinished jobs of this kind already; try again later.",
            retry_after=60.0,
        )
    if job.integration_id is None:
        return
    integration = await session.get_one(Integration, job.integration_id)
    of_tenant = (
        and_(Integration.company == integration.company, Integration.company_vouched)
        if integration.company_vouched
        else Integration.pbx == integration.pbx
    )
    theirs = unfinished.join(Integration, Integration.id == Job.integration_id).where(of_tenant)
    if (await session.execute(theirs)).scalar_one() >= MOST_OF_TENANT:
        raise Overloaded(
            f"This company or PBX has {MOST_OF_TENANT} unfinished replays, the most that it may;"
            " wait for one or cancel it.",
            retry_after=60.0,
        )


async def _with_outcomes(session: AsyncSession, jobs: Sequence[Job]) -> None:
    """Add what is not in the jobs' rows yet to what is shown of them; nothing is written."""
    table = JobOutcome
    query = (
        select(
            table.job_id,
            func.sum(table.delivered).label("delivered"),
            func.sum(table.failed).label("failed"),
            func.sum(table.skipped).label("skipped"),
        )
        .where(table.job_id.in_([job.id for job in jobs]))
        .group_by(table.job_id)
    )
    rows = {row["job_id"]: row for row in (await session.execute(query)).mappings()}
    session.expunge_all()
    for job in jobs:
        if (row := rows.get(job.id)) is not None:
            job.delivered += int(row["delivered"])
            job.failed += int(row["failed"])
            job.skipped += int(row["skipped"])


def _seen_by(principal: Principal, kind: JobKind) -> ColumnElement[bool]:
    if kind is JobKind.REPLAY and not principal.is_admin:
        return Job.integration_id.in_(select(Integration.id).where(integrations_seen_by(principal)))
    return Job.id.is_not(None)


def _no_such(job_id: UUID, kind: JobKind) -> NotFound:
    return NotFound(f"There is no {kind} {job_id}.")
