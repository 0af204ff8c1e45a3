"""The engine's tasks: claims what is due, runs attempts, keeps leases alive, and drains.

Polling is the truth and notifications are hints: an engine that hears nothing finds everything at
its next poll.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from hookline.dispatch.batching import Batcher
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.observer import AttemptObserver
from hookline.dispatch.record import Recorder
from hookline.dispatch.turns import RateLimits
from hookline.domain.deliveries import RetryAt, Verdict
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Queue, Settlement

if TYPE_CHECKING:
    from uuid import UUID

_AFTER_A_FAULT = 0.5  # seconds before the pump looks again when the database was away
_LOOK_SHARE = 20  # looks at thousands of lanes, two each time, take a tenth of the time at most
_POLL_SHARE = 5  # a poll may take a sixth of the time at most, however many hints come
_LOG = get_logger(__name__)


class _Held(msgspec.Struct):
    """A delivery that is leased to this process, until its outcome is written."""

    job: Claimed
    lease: int  # the newest, where a lease ran out and the delivery came to this process again
    until: float  # by the lanes' clock: when the lease may have run out
    stale_at: float | None = None  # by the lanes' clock: when its event is too old to be sent


class Engine:
    """Owns every attempt of this process, from lease to settlement.

    `poll_interval` and `renew_interval` are seconds; leases must last several renewals. `observers`
    are told what became of each attempt.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        *,
        queue: Queue,
        lanes: Lanes,
        deliverer: Deliverer,
        recorder: Recorder,
        poll_interval: float,
        renew_interval: float,
        observers: Sequence[AttemptObserver] = (),
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._deliverer = deliverer
        self._recorder = recorder
        self._poll_interval = poll_interval
        self._renew_interval = renew_interval
        self._observers = observers
        self._rates = RateLimits(queue, lanes)
        self._releases = Batcher[Claimed, None](self._release_batch, name="release", largest=500)
        self._held: dict[UUID, _Held] = {}
        self._starting = 0  # slots that have not begun yet
        self._slots: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._next_poll = 0.0
        self._earliest_poll = 0.0
        self._stopping = False

    def start(self) -> None:
        """Begin to claim; attempts of deliveries that are handed over run even before."""
        self._tasks = [
            asyncio.create_task(self._pump(), name="engine-pump"),
            asyncio.create_task(self._renew(), name="engine-renew"),
        ]

    @property
    def alive(self) -> bool:
        """Whether the engine's tasks run: readiness asks this."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def take(self, jobs: Sequence[Claimed], leased_at: float) -> None:
        """Run deliveries that are leased to this process and held by its lanes, oldest first.

        `leased_at` is when the lease was asked for, by the lanes' clock.
        """
        if self._stopping and jobs:
            for job in jobs:
                self._lanes.drop_reserved(job.integration_id, len(job.event.payload))
                self._lanes.releasing(job.integration_id)
            self._start_slot(self._release_later(jobs))
            return
        for job in jobs:
            until = leased_at + self._queue.lease_seconds
            stale_at = None if job.fresh_for is None else leased_at + job.fresh_for
            self._held[job.id] = _Held(job, job.lease, until, stale_at)
            if (first := self._lanes.admit(job)) is not None:
                self._start_attempts(first)
            if self._lanes.wants_more(job.integration_id):
                self._wake.set()

    def release(self, jobs: Sequence[Claimed]) -> None:
        """Release leases of deliveries that have not started and are no longer to, unused."""
        if not jobs:
            return
        current = [replace(job, lease=self._held[job.id].lease) for job in jobs]
        for job in jobs:
            self._drop(job)
            self._lanes.releasing(job.integration_id)
        self._start_slot(self._release_later(current))

    def wake(self) -> None:
        """Look for due work now: some became due, or a lane got room."""
        self._wake.set()

    def poll_soon(self) -> None:
        """Ask the database what waits where soon: polls may take a small part of the time."""
        self._next_poll = self._earliest_poll
        self._wake.set()

    async def drain(self, grace: float) -> None:
        """Stop claiming, release what has not started, and let attempts end in `grace` seconds.

        What is unsettled then stays leased; another process takes it over when the lease ends.
        """
        self._stopping = True
        self._wake.set()
        pumping = self._tasks[:1]
        try:
            async with asyncio.timeout(grace):
                self.release(self._lanes.take_unstarted())
                while running := self._slots | {task for task in pumping if not task.done()}:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                await self._recorder.idle()
        except TimeoutError:
            _LOG.warning("engine.drain_incomplete", unsettled=len(self._held))
        ending = [*self._tasks, *self._slots]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _pump(self) -> None:
        while not self._stopping:
            try:
                await self._poll_when_due()
                await self._claim()
                pause = await self._until_next_work()
            except Unavailable:
                _LOG.warning("engine.database_away")
                pause = _AFTER_A_FAULT
            except Exception:  # noqa: BLE001 - without the pump nothing is ever retried
                _LOG.exception("engine.pump_failed")
                pause = _AFTER_A_FAULT
            await self._wait(pause)

    async def _poll_when_due(self) -> None:
        now = self._lanes.moment()
        if now >= self._next_poll:
            self._next_poll = now + self._poll_interval
            self._lanes.found(await self._queue.waiting(), asked_at=now)
            self.release(self._lanes.misplaced())
            after = self._lanes.clock()
            self._earliest_poll = after + _POLL_SHARE * (after - now)

    async def _claim(self) -> None:
        # Outcomes go first: a claim could take deliveries whose leases ran out while they waited
        # to be written, and have them attempted again.
        while not self._stopping and not self._recorder.stuck:
            wanted, most_bytes = self._lanes.claimable(), self._lanes.bytes_to_claim
            if await self._take_over():
                continue
            if not wanted:
                return
            asked = await self._rates.within(wanted)
            asked_at = self._lanes.moment()
            jobs = await self._queue.claim(asked, most_bytes=most_bytes) if asked else []
            try:
                await self._deliverer.follow(jobs)
            except Exception:
                await self._queue.release(jobs)
                raise
            self._lanes.claimed(asked, jobs, asked_at, most_bytes=most_bytes)
            self.take([job for job in jobs if not self._adopt(job, asked_at)], asked_at)
            await self._rates.settle(asked, jobs)

    async def _take_over(self) -> bool:
        """Make lanes ours before they are claimed for; tell whether any became so."""
        if not (asked := self._lanes.to_take_over()):
            return False
        ready = await self._queue.take_over([lane for lane, _ in asked])
        self._lanes.took_over(asked, ready)
        return bool(ready)

    def _adopt(self, job: Claimed, asked_at: float) -> bool:
        """Where a delivery is still in our hands under a lease that ran out, keep it, leased anew.

        So no two attempts of one delivery ever run here at once.
        """
        known = self._held.get(job.id)
        if known is None:
            return False
        known.lease = job.lease
        known.until = asked_at + self._queue.lease_seconds
        self._lanes.drop_reserved(job.integration_id, len(job.event.payload))
        return True

    async def _until_next_work(self) -> float:
        if self._recorder.stuck:
            return _AFTER_A_FAULT
        began = self._lanes.clock()
        due = self._lanes.next_due()
        await asyncio.sleep(_LOOK_SHARE * (self._lanes.clock() - began))
        until_poll = max(0.0, self._next_poll - self._lanes.clock())
        return until_poll if due is None else min(due, until_poll)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    def _start_slot(self, work: Coroutine[Any, Any, None]) -> None:
        slot = asyncio.create_task(work, name="engine-slot")
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)

    def _start_attempts(self, first: Claimed) -> None:
        self._starting += 1
        self._start_slot(self._run_slot(first))

    async def _run_slot(self, first: Claimed) -> None:
        """Attempt one delivery after another of the same lane, until none is at hand.

        Behind slots that are still to begin the next one begins as they do: theirs are older.
        """
        self._starting -= 1
        job: Claimed | None = first
        while job is not None:
            try:
                await self._attempt(job)
            except Exception:  # noqa: BLE001 - the lane goes on; the lease runs out, and is counted
                _LOG.exception("delivery.abandoned", delivery=str(job.id))
                self._drop(job)
            integration_id = job.integration_id
            job = self._lanes.attempt_ended(integration_id)
            if self._lanes.wants_more(integration_id):
                self._wake.set()
            if job is not None and self._starting:
                self._start_attempts(job)
                return

    async def _attempt(self, job: Claimed) -> None:
        held = self._held[job.id]
        if held.until <= self._lanes.clock():
            _LOG.warning("delivery.lease_lost", delivery=str(job.id))
            self._drop(job)
        else:
            settlement = await self._deliverer.deliver(job, stale_at=held.stale_at)
            self._learn(job, settlement)
            self._record(job, settlement)

    def _learn(self, job: Claimed, settlement: Settlement) -> None:
        """Learn from an attempt how many the target bears at once, and tell who asks."""
        if settlement.sent is None:
            return
        if settlement.sent.verdict is Verdict.RETRY:
            self.release(self._lanes.slow_down(job.integration_id))
        elif settlement.sent.verdict is Verdict.DELIVERED:
            self._speed_up(job.integration_id, settlement.sent.duration_ms)
        for observer in self._observers:
            observer.attempted(job, settlement)

    def _speed_up(self, integration_id: str, latency_ms: int) -> None:
        """Have more attempts at once where the target bears more."""
        if self._lanes.speed_up(integration_id, latency_ms):
            while (job := self._lanes.next_at_hand(integration_id)) is not None:
                self._start_attempts(job)

    def _record(self, job: Claimed, settlement: Settlement) -> None:
        lease = self._held[job.id].lease
        if lease != settlement.lease:
            settlement = replace(settlement, lease=lease)
        self._recorder.offer(job, settlement, self._written)

    def _written(self, job: Claimed, settlement: Settlement, ours: bool) -> None:  # noqa: FBT001 - the recorder's answer
        if not ours and self._held[job.id].lease != settlement.lease:
            self._record(job, settlement)  # it came to us again while this waited
            return
        self._drop(job)
        if isinstance(settlement.outcome, RetryAt):
            self._lanes.expect(job.integration_id, settlement.outcome.delay)
        elif self._lanes.is_ordered(job.integration_id):
            self._lanes.expect(job.integration_id)  # its successor may go now
        self._wake_for_room()

    def _drop(self, job: Claimed) -> None:
        """Drop a delivery, and so renewing its lease."""
        del self._held[job.id]
        self._lanes.drop(job.integration_id, len(job.event.payload))

    def _wake_for_room(self) -> None:
        if self._lanes.expecting:
            self._wake.set()

    async def _renew(self) -> None:
        """Keep the leases of deliveries that take long, or whose outcome cannot be written yet."""
        while True:
            await asyncio.sleep(self._renew_interval)
            asked_at = self._lanes.clock()
            fresh_until = asked_at + self._queue.lease_seconds - self._renew_interval / 2
            aging = {
                (delivery_id, held.lease): held
                for delivery_id, held in self._held.items()
                if held.until <= fresh_until
            }
            if not aging:
                continue
            try:
                kept = await self._queue.renew(list(aging))
            except Unavailable:
                _LOG.warning("engine.renewal_failed", leases=len(aging))
            except Exception:  # noqa: BLE001 - leases must go on being renewed
                _LOG.exception("engine.renewal_failed", leases=len(aging))
            else:
                until = asked_at + self._queue.lease_seconds
                for (delivery_id, lease), held in aging.items():
                    if held.lease == lease:
                        held.until = until if delivery_id in kept else asked_at

    async def _release_later(self, jobs: Sequence[Claimed]) -> None:
        try:
            await self._releases.submit(jobs)
        except Unavailable:
            _LOG.warning("engine.release_failed", leases=len(jobs))  # their leases run out
        finally:
            for job in jobs:
                self._lanes.released(job.integration_id)
            self._wake_for_room()

    async def _release_batch(self, jobs: Sequence[Claimed]) -> list[None]:
        await self._queue.release(jobs)
        return [None] * len(jobs)
