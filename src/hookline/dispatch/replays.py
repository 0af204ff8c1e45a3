"""Replays: takes requests, counts what is to be sent again, queues it while its lane has room.

A replayed delivery is a new one of the same event, with an id of its own. It is queued behind what
waits, in the transaction that moves the job's cursor past it: never twice, whoever dies when.

A live event of the same integration goes behind what was queued, so no more may wait than the lane
gets through in some tenths of a second: more where a look finds it empty, less where it is stuck.
Everything else shares the process with a replay: while events arrive, it adds a little at a time,
and leaves as much time in between.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, any_, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.models import Job
from hookline.db.queue_models import AcceptedEvent, PendingDelivery
from hookline.db.statements import notification, statement
from hookline.domain.access import Principal
from hookline.domain.events import parse_envelope
from hookline.domain.ids import lowest_uuid, new_uuid
from hookline.errors import Conflict, FieldProblem, InvalidInput
from hookline.history.jobs import JobKind, Jobs, JobState, due_in, finish, new_job
from hookline.history.replayable import Page, Passes, Selected, Wants, find_page
from hookline.history.schemas import ReplayCount
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscription, Subscriptions
from hookline.queue.port import PENDING_CHANNEL
from hookline.queue.rows import texts

MOST_WAITING: Final = 1_000  # deliveries of an integration, until a replay adds no more to them
LEAST_WAITING: Final = 4  # the same, where the target takes none
MOST_BESIDE_EVENTS: Final = 50  # the same, while events arrive
_LOOKED_AT = 500  # deliveries and events in one page
_COUNTED = 2_000  # the same while they are only counted
_ARRIVING_FOR = timedelta(seconds=2)  # after an event
_PAUSE_BESIDE_EVENTS = 0.05  # seconds between two pages, while events arrive
_COUNTED_FOR = 8.0  # seconds that a dry run counts; whoever asks waits for it
_SLACK = timedelta(days=1)  # days are kept whole, so some hours more than the retention are there
_BURST = 1.0  # seconds' worth of a job's rate that is queued at once
_LOOK_AGAIN = 0.2  # seconds until a lane with something of a replay is looked at again
WAITS: Final = "Waiting until less of the integration's deliveries wait."
_QUEUE = text(statement("queue/replay"))


@dataclass(frozen=True, slots=True)
class WantedReplay:
    """What a replay is about, as it is kept with the job."""

    since: datetime
    until: datetime
    statuses: tuple[str, ...]
    types: tuple[str, ...] | None
    missing: bool

    @property
    def first(self) -> UUID:
        """The id that the cursor begins at."""
        return UUID(int=lowest_uuid(self.since).int - 1)

    @property
    def beyond(self) -> UUID:
        """The lowest id that is not looked at."""
        return lowest_uuid(self.until)

    def as_document(self) -> dict[str, Any]:  # Any: a JSON document
        """Return it as it is kept."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "statuses": list(self.statuses),
            "types": None if self.types is None else list(self.types),
            "missing": self.missing,
        }


def asked_of(job: Job) -> WantedReplay:
    """Return what a replay was asked for."""
    asked = job.asked
    types = asked["types"]
    return WantedReplay(
        datetime.fromisoformat(asked["since"]),
        datetime.fromisoformat(asked["until"]),
        tuple(asked["statuses"]),
        None if types is None else tuple(types),
        asked["missing"],
    )


class Replays:
    """The work on replays."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    async def page(self, session: AsyncSession, job: Job) -> bool:
        """Count, or queue, the next deliveries of a replay; tell whether events arrive too."""
        assert job.integration_id is not None  # noqa: S101 - every replay has one
        await self._subscriptions.refresh()
        subscription = self._subscriptions.find(job.integration_id)
        if subscription is None:
            finish(job, JobState.FAILED, "The integration was deleted.")
        elif not subscription.enabled:
            finish(job, JobState.FAILED, "The integration was disabled; enable it, then replay.")
        elif job.cursor >= job.beyond and job.state != JobState.COUNTING:
            await _end(session, job)
        else:
            arriving = await _events_arrive(session)
            if job.state == JobState.COUNTING:
                await self._count(session, job, subscription, arriving=arriving)
            else:
                await self._queue(session, job, subscription, arriving=arriving)
            return arriving
        return False

    async def count_page(
        self, session: AsyncSession, integration_id: str, wanted: WantedReplay, after: UUID
    ) -> tuple[int, UUID]:
        """Count one page behind `after`; return how many are in it, and its end."""
        subscription = self._subscriptions.find(integration_id)
        if subscription is None:
            return 0, wanted.beyond
        selected = _selected(subscription, wanted)
        page = await self._find(session, selected, after, subscription, _COUNTED)
        return len(page.candidates), page.end

    async def _count(
        self, session: AsyncSession, job: Job, subscription: Subscription, *, arriving: bool
    ) -> None:
        selected = _selected(subscription, asked_of(job), job)
        most = _LOOKED_AT if arriving else _COUNTED
        page = await self._find(session, selected, job.cursor, subscription, most)
        job.total += len(page.candidates)
        job.cursor = page.end
        if job.cursor >= job.beyond:
            job.state, job.cursor = JobState.RUNNING.value, job.first
            if not job.total:
                finish(job, JobState.DONE)
        due_in(job, _PAUSE_BESIDE_EVENTS if arriving else 0.0)

    async def _queue(
        self, session: AsyncSession, job: Job, subscription: Subscription, *, arriving: bool
    ) -> None:
        allowed = MOST_BESIDE_EVENTS if arriving else MOST_WAITING
        room = room_for(job, await _waiting(session, subscription.integration_id), allowed)
        if job.rate_limit is not None:
            room = min(room, max(1, int(job.rate_limit * _BURST)))
        if room <= 0:
            job.error = WAITS
            due_in(job, _LOOK_AGAIN)
            return
        asked = asked_of(job)
        selected = _selected(subscription, asked, job)
        most = _LOOKED_AT if asked.missing else min(room, _LOOKED_AT)  # not all that is missed fits
        page = await self._find(session, selected, job.cursor, subscription, most)
        page = page.cut(room)
        if page.candidates:
            await _insert(session, job, subscription, page)
            # Told as the transaction commits: a claim before that finds nothing, and the lane
            # waits for a poll.
            await session.execute(notification(PENDING_CHANNEL, subscription.integration_id))
        job.error = None
        job.worked_on += len(page.candidates)
        job.total = max(job.total, job.worked_on)  # what failed since it was counted
        job.cursor = page.end
        pause = _PAUSE_BESIDE_EVENTS if arriving else 0.0
        due_in(job, max(pause, len(page.candidates) / job.rate_limit if job.rate_limit else 0.0))

    async def _find(
        self,
        session: AsyncSession,
        selected: Selected,
        after: UUID,
        subscription: Subscription,
        most: int,
    ) -> Page:
        connection = await session.connection()
        wants, passes = self._wants(subscription), _passes(subscription)
        return await find_page(connection, selected, after, wants, passes, most=most)

    def _wants(self, subscription: Subscription) -> Wants:
        def wants(pbx: str | None, event_type: str, subject: str) -> bool:
            return self._subscriptions.would_get(subscription, pbx, event_type, subject)

        return wants


@dataclass(frozen=True, slots=True)
class ReplayRequests:
    """Takes requests for replays."""

    jobs: Jobs
    replays: Replays
    integrations: IntegrationService
    subscriptions: Subscriptions
    retention_days: int

    async def start(
        self,
        principal: Principal,
        integration_id: str,
        wanted: WantedReplay,
        rate_limit: float | None,
    ) -> Job:
        """Begin a replay.

        Raises NotFound, Forbidden, InvalidInput for a period that is not possible, and Conflict
        where the integration is disabled or has a replay that is not finished.
        """
        wanted = await self._checked(principal, integration_id, wanted)
        return await self.jobs.start(
            new_job(
                JobKind.REPLAY,
                first=wanted.first,
                beyond=wanted.beyond,
                asked=wanted.as_document(),
                principal=principal,
                integration_id=integration_id,
                rate_limit=rate_limit,
            )
        )

    async def count(
        self, principal: Principal, integration_id: str, wanted: WantedReplay
    ) -> ReplayCount:
        """Say what a replay would come to; raises what `start` does, but for a second replay."""
        wanted = await self._checked(principal, integration_id, wanted)
        total, after = 0, wanted.first
        until = time.monotonic() + _COUNTED_FOR
        while after < wanted.beyond and time.monotonic() < until:
            async with self.jobs.reading() as session:
                found, after = await self.replays.count_page(session, integration_id, wanted, after)
            total += found
        return ReplayCount(
            integration_id=integration_id,
            state="counted",
            total=total,
            complete=after >= wanted.beyond,
        )

    async def _checked(
        self, principal: Principal, integration_id: str, wanted: WantedReplay
    ) -> WantedReplay:
        await self.integrations.check_manages(principal, integration_id)
        now = datetime.now(UTC)
        wanted = replace(wanted, until=min(wanted.until, now))
        if wanted.since < now - timedelta(days=self.retention_days) - _SLACK:
            raise InvalidInput(
                FieldProblem(
                    "since",
                    f"Events are kept for {self.retention_days} days; send a later time.",
                )
            )
        if wanted.since >= wanted.until:
            raise InvalidInput(FieldProblem("since", "Send a time before `until`, and before now."))
        await self.subscriptions.refresh()
        subscription = self.subscriptions.find(integration_id)
        if subscription is None or not subscription.enabled:
            raise Conflict("The integration is disabled; enable it first, then replay.")
        return wanted


def _passes(subscription: Subscription) -> Passes | None:
    if (chosen := subscription.filter) is None:
        return None
    return lambda payload: chosen.matches(parse_envelope(payload))


def _selected(subscription: Subscription, wanted: WantedReplay, job: Job | None = None) -> Selected:
    return Selected(
        integration_id=subscription.integration_id,
        pbx=subscription.pbx,
        company=subscription.company,
        statuses=wanted.statuses,
        types=wanted.types,
        missing=wanted.missing,
        beyond=wanted.beyond if job is None else job.beyond,
        job_id=None if job is None else job.id,
    )


def room_for(job: Job, waiting: int, allowed: int = MOST_WAITING) -> int:
    """Return how many more may wait where so many do; how many in all follows how fast they go.

    They are never more than `allowed`.
    """
    if not waiting and job.worked_on:
        job.most_waiting = min(MOST_WAITING, 2 * job.most_waiting)
    most = min(allowed, job.most_waiting)
    room = most - waiting
    if room >= max(1, most // 4):
        return room
    if job.error == WAITS:  # for the second time
        job.most_waiting = max(LEAST_WAITING, most // 2)
    return 0


async def _events_arrive(session: AsyncSession) -> bool:
    """Tell whether an event was accepted in the last moments, in whichever process."""
    lately = lowest_uuid(datetime.now(UTC) - _ARRIVING_FOR)
    newest = select(AcceptedEvent.id).where(AcceptedEvent.id >= lately).limit(1)
    return await session.scalar(newest) is not None


async def _waiting(session: AsyncSession, integration_id: str) -> int:
    """Count what waits of a lane, up to what keeps a replay from adding to it."""
    table = PendingDelivery
    leased_or_not = cast([True, False], ARRAY(Boolean))  # the index begins with it
    some = (
        select(table.id)
        .where(
            table.leased_until.is_not(None) == any_(leased_or_not),
            table.integration_id == integration_id,
        )
        .limit(MOST_WAITING)
    ).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def _insert(session: AsyncSession, job: Job, subscription: Subscription, page: Page) -> None:
    chosen = page.candidates
    anew = subscription.omit if asked_of(job).missing else None  # those were never sent
    await session.execute(
        _QUEUE,
        {
            "ids": [new_uuid() for _ in chosen],
            "event_ids": [each.event_id for each in chosen],
            "first": min(each.event_id for each in chosen),
            "last": max(each.event_id for each in chosen),
            "types": [each.type for each in chosen],
            "orderings": [each.subject if subscription.ordered else None for each in chosen],
            "sizes": [each.payload_bytes for each in chosen],
            "omitted": [texts(omit) if (omit := each.omit or anew) else None for each in chosen],
            "integration_id": subscription.integration_id,
            "job_id": job.id,
        },
    )


async def _end(session: AsyncSession, job: Job) -> None:
    """End a replay once nothing of it is pending any more."""
    left = await session.scalar(
        select(PendingDelivery.id).where(PendingDelivery.replay == job.id).limit(1)
    )
    if left is None:
        finish(job, JobState.DONE)
        return
    job.error = None
    due_in(job, _LOOK_AGAIN)
