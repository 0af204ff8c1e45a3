"""The engine's tasks: claims what is due, runs attempts, keeps leases alive, and drains.

Polling is the truth and notifications are hints: an engine that hears nothing finds everything at
its next poll.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.record import Recorder
from hookline.domain.deliveries import RetryAt
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Queue, Settlement

if TYPE_CHECKING:
    from uuid import UUID

_AFTER_A_FAULT = 0.5  # seconds before the pump looks again when the database was away
_LOG = get_logger(__name__)


class Engine:
    """Owns every attempt of this process, from lease to settlement.

    `poll_interval` and `renew_interval` are seconds; leases must last several renewals.
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
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._deliverer = deliverer
        self._recorder = recorder
        self._poll_interval = poll_interval
        self._renew_interval = renew_interval
        self._held: dict[tuple[UUID, int], Claimed] = {}
        self._slots: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._next_poll = 0.0
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

    def take(self, jobs: Sequence[Claimed]) -> None:
        """Run deliveries that are leased to this process and held by its lanes."""
        for job in jobs:
            self._held[(job.id, job.lease)] = job
            if self._lanes.admit(job):
                slot = asyncio.create_task(self._run_slot(job), name="engine-slot")
                self._slots.add(slot)
                slot.add_done_callback(self._slots.discard)

    def wake(self) -> None:
        """Look for due work now: some became due, or a lane got room."""
        self._wake.set()

    def poll_now(self) -> None:
        """Ask the database what waits where, without waiting for the next poll."""
        self._next_poll = 0.0
        self._wake.set()

    async def drain(self, grace: float) -> None:
        """Stop claiming, give back what has not started, and let attempts end in `grace` seconds.

        What is unsettled then stays leased; another process takes it over when the lease ends.
        """
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(grace):
                await self._give_back(self._lanes.take_at_hand())
                if self._slots:
                    await asyncio.wait(self._slots)
                await self._recorder.idle()
        except TimeoutError:
            _LOG.warning("engine.drain_incomplete", unsettled=len(self._held))
        for slot in self._slots:
            slot.cancel()

    async def _pump(self) -> None:
        while True:
            try:
                await self._poll_when_due()
                await self._claim()
            except Unavailable:
                _LOG.warning("engine.database_away")
                await self._wait(_AFTER_A_FAULT)
            except Exception:  # noqa: BLE001 - without the pump nothing is ever retried
                _LOG.exception("engine.pump_failed")
                await self._wait(_AFTER_A_FAULT)
            else:
                await self._wait(self._until_next_work())

    async def _poll_when_due(self) -> None:
        now = self._lanes.clock()
        if now >= self._next_poll:
            self._next_poll = now + self._poll_interval
            self._lanes.found(await self._queue.waiting(), asked_at=now)

    async def _claim(self) -> None:
        while asked := self._lanes.claimable():
            asked_at = self._lanes.clock()
            jobs = await self._queue.claim(asked)
            self._lanes.claimed(asked, jobs, asked_at)
            self.take(jobs)

    def _until_next_work(self) -> float:
        until_poll = max(0.0, self._next_poll - self._lanes.clock())
        due = self._lanes.next_due()
        return until_poll if due is None else min(due, until_poll)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _run_slot(self, first: Claimed) -> None:
        """Attempt one delivery after another of the same lane, until none is at hand."""
        job: Claimed | None = first
        while job is not None:
            settlement = await self._deliverer.deliver(job)
            self._record(job, settlement)
            job = self._lanes.attempt_ended(job.integration_id)
        self.wake()

    def _record(self, job: Claimed, settlement: Settlement) -> None:
        def written() -> None:
            self._held.pop((job.id, job.lease), None)
            self._lanes.let_go(job.integration_id, len(job.event.payload))
            if isinstance(settlement.outcome, RetryAt):
                self._lanes.expect(job.integration_id, settlement.outcome.delay)
            self.wake()

        self._recorder.offer(settlement, job.integration_id, written)

    async def _renew(self) -> None:
        """Keep the leases of deliveries that take long, or whose outcome cannot be written yet."""
        while True:
            before = set(self._held)
            await asyncio.sleep(self._renew_interval)
            still_held = [job for key, job in self._held.items() if key in before]
            if not still_held:
                continue
            try:
                await self._queue.renew([(job.id, job.lease) for job in still_held])
            except Unavailable:
                _LOG.warning("engine.renewal_failed", leases=len(still_held))
            except Exception:  # noqa: BLE001 - leases must go on being renewed
                _LOG.exception("engine.renewal_failed", leases=len(still_held))

    async def _give_back(self, jobs: Sequence[Claimed]) -> None:
        if not jobs:
            return
        try:
            await self._queue.release(jobs)
        except Unavailable:
            _LOG.warning("engine.release_failed", leases=len(jobs))
        for job in jobs:
            self._held.pop((job.id, job.lease), None)
            self._lanes.let_go(job.integration_id, len(job.event.payload))
