"""Erasures: payloads of events, and what was answered to their copies, are destroyed for good.

A page of events takes two transactions. The first one erases them: from its commit on no process is
handed their payloads any more. The second one waits until what was under way has ended, and then
clears the answers: nothing can add one behind it.

An event has its id before it is stored, so one may be stored behind the cursor while the job runs.
Where the job reaches up to the moment it was asked for, its last minute is looked at once more,
after whatever was being accepted then is stored or refused.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from hookline.db.models import Job
from hookline.db.queue_models import (
    AcceptedEvent,
    DeliveryAttempt,
    FinishedDelivery,
    PendingDelivery,
)
from hookline.db.statements import statement
from hookline.domain.ids import lowest_uuid
from hookline.domain.statistics import Ending, code_of
from hookline.history.jobs import JobState, due_in, finish
from hookline.history.ranges import (
    IdRange,
    bounds,
    kept_days,
    oldest_first,
    ranges_of_deliveries,
    read_range,
)

_T = TypeVar("_T")
_AT_ONCE = 500  # events in one page
_COUNTED = 20_000  # the same while they are only counted
_LOOK_AGAIN = 0.5  # seconds until it is looked again whether attempts under way have ended
_STORED_WITHIN: Final = (
    30.0  # seconds from an event's id to its commit: two statements of ten, at most
)
_LAST_MINUTE = timedelta(minutes=1)  # clocks of processes differ by less
_SKIPPED: Final = code_of(Ending.SKIPPED, retried=False)
_END_PENDING = text(statement("queue/erase_pending"))
_ERASE = text(statement("queue/erase_payloads"))


@dataclass(frozen=True, slots=True)
class WantedErasure:
    """Whose events are erased: a PBX's or a company's, of one subject or all."""

    pbx: str | None
    company: str | None
    subject: str | None
    before: datetime

    @property
    def first(self) -> UUID:
        """The id that the cursor begins at."""
        return UUID(int=0)

    @property
    def beyond(self) -> UUID:
        """The lowest id that is not looked at."""
        return lowest_uuid(self.before)

    def as_document(self) -> dict[str, Any]:  # Any: a JSON document
        """Return it as it is kept."""
        return {
            "pbx": self.pbx,
            "company": self.company,
            "subject": self.subject,
            "before": self.before.isoformat(),
        }


def asked_of(job: Job) -> WantedErasure:
    """Return what an erasure was asked for."""
    asked = job.asked
    before = datetime.fromisoformat(asked["before"])
    return WantedErasure(asked["pbx"], asked["company"], asked["subject"], before)


class Erasures:
    """The work on erasures. `stored_within`: seconds after which no older event is stored."""

    def __init__(self, *, stored_within: float = _STORED_WITHIN) -> None:
        self._stored_within = stored_within

    async def page(self, session: AsyncSession, job: Job) -> bool:
        """Count, erase, or clean up behind, the next events."""
        job.error = None
        due_in(job, 0.0)
        if job.state == JobState.COUNTING:
            await _count(session, job)
        elif job.cursor >= job.beyond:
            await _begin_again(session, job)
        elif job.page_end is None:
            if await _erase(session, job):
                self._end(job)
        else:
            await _clean(session, job, job.page_end)
        return False

    def _end(self, job: Job) -> None:
        """End a job whose cursor has come to its end, or have it look at its last minute again."""
        last_minute = UUID(int=lowest_uuid(asked_of(job).before - _LAST_MINUTE).int - 1)
        if job.first >= last_minute or not _is_recent(job):
            finish(job, JobState.DONE)
            return
        job.first = last_minute
        job.error = "Waiting for events that are being accepted."
        due_in(job, self._stored_within)


async def _begin_again(session: AsyncSession, job: Job) -> None:
    """Go back to where the last minute begins; what was erased of it counts anew."""
    again = IdRange(job.first, job.beyond)
    query = _selected(job, func.count(), again).where(AcceptedEvent.erased_at.is_not(None))
    job.worked_on -= await session.scalar(query) or 0
    job.cursor = job.first


async def _count(session: AsyncSession, job: Job) -> None:
    ids, end = await _next(session, job, _COUNTED)
    job.total += len(ids)
    job.cursor = end
    if end >= job.beyond:
        job.state, job.cursor = JobState.RUNNING.value, job.first
        if not job.total and not _is_recent(job):
            finish(job, JobState.DONE)


async def _erase(session: AsyncSession, job: Job) -> bool:
    """Erase the next page; tell whether there is none any more."""
    ids, end = await _next(session, job, _AT_ONCE)
    if ids:
        await session.execute(_ERASE, {"ids": ids, "low": min(ids), "high": max(ids)})
        await session.execute(_END_PENDING, {"event_ids": ids, "code": _SKIPPED})
        job.page_end = max(ids)
        return False
    job.cursor = end
    return end >= job.beyond


async def _clean(session: AsyncSession, job: Job, end: UUID) -> None:
    ids, _ = await _next(session, job, 2 * _AT_ONCE, up_to=end)
    await session.execute(_END_PENDING, {"event_ids": ids, "code": _SKIPPED})
    held = select(PendingDelivery.id).where(PendingDelivery.event_id.in_(ids)).limit(1)
    if ids and await session.scalar(held) is not None:
        job.error = "Waiting for attempts that are under way."
        due_in(job, _LOOK_AGAIN)
        return
    if ids:
        await _clear_answers(session, ids)
    job.worked_on += len(ids)
    job.total = max(job.total, job.worked_on)
    job.cursor, job.page_end = end, None


async def _clear_answers(session: AsyncSession, event_ids: list[UUID]) -> None:
    table = FinishedDelivery
    connection = await session.connection()
    deliveries: list[UUID] = []
    for within in await ranges_of_deliveries(connection, min(event_ids), max(event_ids)):
        query = select(table.id).where(table.event_id.in_(event_ids), *bounds(table.id, within))
        deliveries += [row["id"] for row in await read_range(connection, query)]
    if not deliveries:
        return
    made = DeliveryAttempt
    await session.execute(
        update(made)
        .where(
            made.delivery_id.in_(deliveries),
            made.delivery_id >= min(deliveries),
            made.delivery_id <= max(deliveries),
            made.response.is_not(None),
        )
        .values(response=None)
        .execution_options(synchronize_session=False)
    )


async def _next(
    session: AsyncSession, job: Job, most: int, *, up_to: UUID | None = None
) -> tuple[list[UUID], UUID]:
    """Return the next events of a job, and the id that they were looked for up to."""
    connection = await session.connection()
    days = await kept_days(connection)
    if days is None:
        return [], job.beyond
    ids: list[UUID] = []
    end = job.beyond
    beyond = job.beyond if up_to is None else min(job.beyond, UUID(int=up_to.int + 1))
    for within in oldest_first(job.cursor, beyond, days):
        query = _selected(job, AcceptedEvent.id, within).order_by(AcceptedEvent.id)
        rows = await read_range(connection, query.limit(most - len(ids)))
        ids += [row["id"] for row in rows]
        end = within.last
        if len(ids) == most:
            return ids, ids[-1]
    return ids, end


def _selected(
    job: Job,
    what: ColumnElement[_T] | InstrumentedAttribute[_T],
    within: IdRange,
) -> Select[_T]:
    """Select something of the events that a job is about, in a range of ids."""
    wanted, table = asked_of(job), AcceptedEvent
    query = select(what).where(*bounds(table.id, within))
    for column, value in (
        (table.pbx, wanted.pbx),
        (table.company, wanted.company),
        (table.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    return query


def _is_recent(job: Job) -> bool:
    """Whether events of the job's last moments may have been under way when it was asked for."""
    return asked_of(job).before > job.created_at - _LAST_MINUTE
