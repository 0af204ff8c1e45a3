"""Claims what waits in the database as lanes have room and rates allow, and keeps the leases.

Notifications only make it sooner: an engine that hears none finds everything at its next poll.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from msgspec.structs import replace

from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.lanes import Lanes
from hookline.queue.port import Claimed, Lane, Queue

_LOOK_SHARE = 20  # looks at thousands of lanes, two each time, take a tenth of the time at most
_POLL_SHARE = 5  # a poll may take a sixth of the time at most, however many hints come


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim asked for, when (by the lanes' clock), and the deliveries that it leased."""

    asked: Sequence[Lane]
    asked_at: float
    jobs: Sequence[Claimed]


_NOTHING = Claim((), 0.0, ())


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A claim that was sent; `taken` is set once what it brought is in its lanes."""

    lanes: frozenset[str]
    taken: asyncio.Event


class Claims:
    """Asks the queue for the lanes of a process; `poll_interval` is seconds."""

    def __init__(
        self, queue: Queue, lanes: Lanes, deliverer: Deliverer, *, poll_interval: float
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._deliverer = deliverer
        self._poll_interval = poll_interval
        self._next_poll = 0.0
        self._earliest_poll = 0.0
        self._under_way: _UnderWay | None = None

    def poll_soon(self) -> None:
        """Have the next poll come soon: polls may take a small part of the time."""
        self._next_poll = self._earliest_poll

    async def poll_when_due(self) -> list[Claimed]:
        """Ask what waits where; return what lanes hold that is no longer theirs to start."""
        now = self._lanes.schedule.moment()
        if now < self._next_poll:
            return []
        self._next_poll = now + self._poll_interval
        self._lanes.schedule.found(await self._queue.waiting(), asked_at=now)
        after = self._lanes.clock()
        self._earliest_poll = after + _POLL_SHARE * (after - now)
        return self._lanes.misplaced()

    async def claim(self) -> Claim | None:
        """Lease what lanes have room for; None where no lane wants anything now.

        What came with it is to be started before `taken` is called, and `refund` after that.
        """
        wanted, most_bytes = self._lanes.schedule.claimable(), self._lanes.bytes_to_claim
        if await self._take_over():
            return _NOTHING
        if not wanted:
            return None
        asked = await self._acquire(wanted)
        asked_at = self._lanes.schedule.moment()
        lanes = frozenset(lane.integration_id for lane in asked)
        self._under_way = _UnderWay(lanes, asyncio.Event())
        jobs = await self._queue.claim(asked, most_bytes=most_bytes) if asked else []
        try:
            await self._deliverer.follow(jobs)
        except Exception:
            await self._queue.release(jobs)
            raise
        self._lanes.schedule.claimed(asked, jobs, asked_at, most_bytes=most_bytes)
        return Claim(asked, asked_at, jobs)

    def taken(self) -> None:
        """Note that what the last claim brought is in its lanes, or that it brought nothing."""
        if self._under_way is not None:
            self._under_way.taken.set()
            self._under_way = None

    async def until_taken(self, lanes: Collection[str]) -> None:
        """Wait for the claim that is under way, if it is for any of these lanes."""
        if self._under_way is not None and not self._under_way.lanes.isdisjoint(lanes):
            await self._under_way.taken.wait()

    async def refund(self, claim: Claim) -> None:
        """Refund the tokens of rate-limited lanes that had less to send."""
        got = Counter(job.integration_id for job in claim.jobs)
        unused = [
            replace(lane, room=lane.room - got[lane.integration_id])
            for lane in claim.asked
            if lane.rate_limit is not None and got[lane.integration_id] < lane.room
        ]
        if unused:
            await self._queue.refund_tokens(unused)

    async def until_next(self) -> float:
        """Return the seconds until a lane has work due, or until the next poll."""
        began = self._lanes.clock()
        due = self._lanes.schedule.next_due()
        await asyncio.sleep(_LOOK_SHARE * (self._lanes.clock() - began))
        until_poll = max(0.0, self._next_poll - self._lanes.clock())
        return until_poll if due is None else min(due, until_poll)

    async def _take_over(self) -> bool:
        """Make lanes ours before they are claimed for; tell whether any became so."""
        if not (asked := self._lanes.schedule.to_take_over()):
            return False
        ready = await self._queue.take_over([lane for lane, _ in asked])
        self._lanes.schedule.took_over(asked, ready)
        return bool(ready)

    async def _acquire(self, wanted: Sequence[Lane]) -> Sequence[Lane]:
        """Return what rates allow to be claimed now; what they do not waits unleased."""
        limited = [lane for lane in wanted if lane.rate_limit is not None]
        if not limited:
            return wanted
        tokens = await self._queue.acquire_tokens(limited)
        allowed: list[Lane] = []
        for lane in wanted:
            of_lane = tokens.get(lane.integration_id)
            if of_lane is None:
                allowed.append(lane)
                continue
            self._lanes.not_before(lane.integration_id, of_lane.next_in)
            if of_lane.granted:
                allowed.append(replace(lane, room=of_lane.granted))
        return allowed


class _Held(msgspec.Struct):
    """A delivery that is leased to this process, until its outcome is written."""

    lease: int  # the newest, where a lease ran out and the delivery came to this process again
    until: float  # by the lanes' clock: when the lease may have run out
    stale_at: float | None = None  # by the lanes' clock: when its event is too old to be sent


class Leases:
    """Knows the newest lease of each delivery that is held, and renews those that age.

    Leases must last several `renew_interval`s, which are seconds.
    """

    def __init__(self, queue: Queue, lanes: Lanes, *, renew_interval: float) -> None:
        self._queue = queue
        self._lanes = lanes
        self._renew_interval = renew_interval
        self._held: dict[UUID, _Held] = {}

    def __len__(self) -> int:
        """How many deliveries are held."""
        return len(self._held)

    def hold(self, job: Claimed, leased_at: float) -> None:
        """Hold a delivery whose lease was asked for at this time, by the lanes' clock."""
        stale_at = None if job.fresh_for is None else leased_at + job.fresh_for
        until = leased_at + self._queue.lease_seconds
        self._held[job.id] = _Held(job.lease, until, stale_at)

    def adopt(self, job: Claimed, leased_at: float) -> bool:
        """Where a delivery is still held under a lease that ran out, keep it, leased anew.

        So no two attempts of one delivery ever run here at once.
        """
        known = self._held.get(job.id)
        if known is None:
            return False
        known.lease = job.lease
        known.until = leased_at + self._queue.lease_seconds
        self._lanes.drop_reserved(job.integration_id, len(job.event.payload))
        return True

    def drop(self, job: Claimed) -> None:
        """Drop a delivery, and so renewing its lease."""
        del self._held[job.id]
        self._lanes.drop(job.integration_id, len(job.event.payload))

    def has_run_out(self, job: Claimed) -> bool:
        """Whether somebody else may hold the delivery by now."""
        return self._held[job.id].until <= self._lanes.clock()

    def stale_at(self, job: Claimed) -> float | None:
        """Return when a delivery's event is too old to be sent, by the lanes' clock."""
        return self._held[job.id].stale_at

    def token(self, job: Claimed) -> int:
        """Return the newest lease of a delivery."""
        return self._held[job.id].lease

    def under(self, lease: int) -> list[UUID]:
        """Return the deliveries that are held under this lease."""
        return [delivery_id for delivery_id, held in self._held.items() if held.lease == lease]

    def current(self, jobs: Iterable[Claimed]) -> list[Claimed]:
        """Return deliveries with their newest leases."""
        return [replace(job, lease=self.token(job)) for job in jobs]

    async def renew(self) -> None:
        """Renew what takes long, or whose outcome cannot be written yet. Raises Unavailable."""
        asked_at = self._lanes.clock()
        fresh_until = asked_at + self._queue.lease_seconds - self._renew_interval / 2
        aging = {
            (delivery_id, held.lease): held
            for delivery_id, held in self._held.items()
            if held.until <= fresh_until
        }
        if not aging:
            return
        kept = await self._queue.renew(list(aging))
        until = asked_at + self._queue.lease_seconds
        for (delivery_id, lease), held in aging.items():
            if held.lease == lease:
                held.until = until if delivery_id in kept else asked_at
