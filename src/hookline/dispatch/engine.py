"""The engine: runs the attempts of this process, records them, and drains."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from msgspec.structs import replace

from hookline.background import Periodic, Tasks
from hookline.dispatch.batching import Batcher
from hookline.dispatch.claims import Claims, Leases
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.observer import AttemptObserver
from hookline.dispatch.record import Recorder
from hookline.domain.deliveries import RetryAt, Verdict
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Queue, Settlement

_AFTER_A_FAULT = 0.5  # seconds before the next claim when the database was away
_LARGE = 64 * 1024  # bytes of a payload, which take a quarter millisecond to sign and send
_MOST_ROUNDS = 16  # of the loop, for a megabyte: as many as a small request takes
_LOG = get_logger(__name__)


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
        self._observers = observers
        self._leases = Leases(queue, lanes, renew_interval=renew_interval)
        self._claims = Claims(queue, lanes, deliverer, poll_interval=poll_interval)
        self._renewing = Periodic(
            "engine-renew", self._leases.renew, renew_interval, first_after=renew_interval
        )
        self._releases = Batcher[Claimed, None](self._release_batch, name="release", largest=500)
        self._large = asyncio.Lock()  # whose attempt begins next, of those with large payloads
        self._behind_large: Counter[str] = Counter()  # attempts of lanes that wait for it
        self._starting = 0  # slots that have not begun yet
        self._slots = Tasks()
        self._claiming = Tasks(essential=True)
        self._renewals = Tasks(essential=True)
        self._wake = asyncio.Event()
        self._stopping = False

    def start(self) -> None:
        """Begin to claim; attempts of deliveries that are handed over run even before."""
        self._claiming.start(self._claim_loop(), "engine-claims")
        self._renewals.start(self._renewing.run(), self._renewing.name)

    @property
    def alive(self) -> bool:
        """Whether the engine's tasks run: readiness asks this."""
        return bool(self._claiming) and bool(self._renewals)

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
            self._leases.hold(job, leased_at)
            if (first := self._lanes.admit(job)) is not None:
                self._start_attempts(first)
        if any(map(self._lanes.schedule.wants_more, {job.integration_id for job in jobs})):
            self._wake.set()

    async def take_handed(self, jobs: Sequence[Claimed], leased_at: float) -> list[str]:
        """Run deliveries that another process stored leased to this one, oldest first.

        Returns the lanes that cannot take them: what is theirs is released, and waits in its place.
        What a claim that is under way leased before they were stored goes first.
        """
        await self._claims.until_taken({job.integration_id for job in jobs})
        try:
            await self._deliverer.follow(jobs)
            known = True
        except Exception:  # noqa: BLE001 - they are leased to us, and nobody else would release them
            _LOG.exception("engine.handed_unknown", deliveries=len(jobs))
            known = False
        kept: list[Claimed] = []
        refused: list[Claimed] = []
        for job in jobs:
            lane, size = job.integration_id, len(job.event.payload)
            may = known and not self._stopping
            if may and self._lanes.reserve_handed(lane, size, stored_after=leased_at):
                kept.append(job)
            else:  # and so is all that comes behind it in its lane
                self._lanes.releasing(lane)
                refused.append(job)
        self.take(kept, leased_at)
        if refused:
            self._start_slot(self._release_later(refused))
        return list({job.integration_id for job in refused})

    async def release_orphaned(self, lease: int) -> None:
        """Release what bears a lease of this process that it knows nothing of. Raises Unavailable.

        Meanwhile nothing is leased. What is at hand in its lanes may be newer, and is released too.
        """
        if self._stopping:
            return
        with self._lanes.schedule.lease_nothing():
            found = await self._queue.release_lease(lease, but=self._leases.under(lease))
            await self._claims.until_taken(found)
            self.release(self._lanes.take_unstarted(found))
            for integration_id in found:
                self._lanes.schedule.expect(integration_id)
        if found:
            _LOG.warning("engine.orphans_released", lanes=len(found))
        self.wake()

    def release(self, jobs: Sequence[Claimed]) -> None:
        """Release leases of deliveries that have not started and are no longer to, unused."""
        if not jobs:
            return
        current = self._leases.current(jobs)
        for job in jobs:
            self._leases.drop(job)
            self._lanes.releasing(job.integration_id)
        self._start_slot(self._release_later(current))

    def wake(self) -> None:
        """Look for due work now: some became due, or a lane got room."""
        self._wake.set()

    def poll_soon(self) -> None:
        """Ask the database what waits where soon: polls may take a small part of the time."""
        self._claims.poll_soon()
        self._wake.set()

    def notified(self, lanes: str) -> None:
        """Take a notification: look at the lanes that are ours, or ask for all."""
        if not lanes:
            self.poll_soon()
            return
        for integration_id in lanes.split(","):
            if not self._lanes.is_elsewhere(integration_id):
                self._lanes.schedule.expect(integration_id)
                self._wake.set()

    async def drain(self, grace: float) -> None:
        """Stop claiming, release what has not started, and let attempts end in `grace` seconds.

        What is unsettled then stays leased; another process takes it over when the lease ends.
        """
        self._stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(grace):
                self.release(self._lanes.take_unstarted())
                self._lanes.pace.stop()
                await self._claiming.join()
                await self._slots.join()
                await self._recorder.idle()
        except TimeoutError:
            _LOG.warning("engine.drain_incomplete", unsettled=len(self._leases))
        for tasks in (self._slots, self._renewals, self._claiming):
            await tasks.aclose()

    async def _claim_loop(self) -> None:
        while not self._stopping:
            try:
                self.release(await self._claims.poll_when_due())
                await self._claim()
                pause = await self._until_next_work()
            except Unavailable:
                _LOG.warning("engine.database_away")
                pause = _AFTER_A_FAULT
            except Exception:  # noqa: BLE001 - without claims nothing is ever retried
                _LOG.exception("engine.claim_failed")
                pause = _AFTER_A_FAULT
            await self._wait(pause)

    async def _claim(self) -> None:
        # Outcomes go first: a claim could take deliveries whose leases ran out while they waited
        # to be written, and have them attempted again.
        while not self._stopping and not self._recorder.stuck:
            try:
                claim = await self._claims.claim()
                if claim is None:
                    return
                at = claim.asked_at
                self.take([job for job in claim.jobs if not self._leases.adopt(job, at)], at)
            finally:
                self._claims.taken()
            await self._claims.refund(claim)

    async def _until_next_work(self) -> float:
        return _AFTER_A_FAULT if self._recorder.stuck else await self._claims.until_next()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    def _start_slot(self, work: Coroutine[Any, Any, None]) -> None:
        self._slots.start(work, "engine-slot")

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
                await self._lanes.pace.throttle(job.integration_id, len(job.event.payload))
                await self._wait_for_large(job)
                await self._attempt(job)
            except Exception:  # noqa: BLE001 - the lane goes on; the lease runs out, and is counted
                _LOG.exception("delivery.abandoned", delivery=str(job.id))
                self._leases.drop(job)
            integration_id = job.integration_id
            job = self._lanes.attempt_ended(integration_id)
            if not self._wake.is_set() and self._lanes.schedule.wants_more(integration_id):
                self._wake.set()
            if job is not None and self._starting:
                self._start_attempts(job)
                return

    async def _wait_for_large(self, job: Claimed) -> None:
        """Let the loop go round before a large payload is signed and sent.

        Hundreds may begin at once, and would keep the loop from everybody. Attempts of the same
        lane wait behind it, since they begin in order.
        """
        size, lane = len(job.event.payload), job.integration_id
        if size < _LARGE and lane not in self._behind_large:
            return
        self._behind_large[lane] += 1
        try:
            async with self._large:
                for _ in range(min(size // _LARGE, _MOST_ROUNDS)):
                    await asyncio.sleep(0)
        finally:
            self._behind_large[lane] -= 1
            if not self._behind_large[lane]:
                del self._behind_large[lane]

    async def _attempt(self, job: Claimed) -> None:
        if self._leases.has_run_out(job):
            _LOG.warning("delivery.lease_lost", delivery=str(job.id))
            self._leases.drop(job)
        else:
            settlement = await self._deliverer.deliver(job, stale_at=self._leases.stale_at(job))
            if settlement.sent is not None and settlement.sent.spent:
                self._lanes.pace.charge(job.integration_id, settlement.sent.spent)
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
        lease = self._leases.token(job)
        if lease != settlement.lease:
            settlement = replace(settlement, lease=lease)
        urgent = self._lanes.is_ordered(job.integration_id)  # its successor waits
        self._recorder.offer(job, settlement, self._written, urgent=urgent)

    def _written(self, job: Claimed, settlement: Settlement, ours: bool) -> None:  # noqa: FBT001 - the recorder's answer
        if not ours and self._leases.token(job) != settlement.lease:
            self._record(job, settlement)  # it came to us again while this waited
            return
        self._leases.drop(job)
        if isinstance(settlement.outcome, RetryAt):
            self._lanes.schedule.expect(job.integration_id, settlement.outcome.delay)
        elif self._lanes.is_ordered(job.integration_id):
            self._lanes.schedule.expect(job.integration_id)  # its successor may go now
        self._wake_for_room()

    def _wake_for_room(self) -> None:
        if self._lanes.schedule.expecting:
            self._wake.set()

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
