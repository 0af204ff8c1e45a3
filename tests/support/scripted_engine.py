"""An engine over the real queue, with a scripted sink and made-up integrations."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import asyncpg

from hookline.db.errors import AWAY
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.engine import Engine
from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.record import Recorder
from hookline.domain.retries import RetryPolicies
from hookline.domain.targets import TransmissionType
from hookline.errors import Unavailable
from hookline.queue.port import Appended, Claimed, Lane, Settlement, Waiting
from hookline.queue.postgres import PostgresQueue
from support.jobs import own_tenant
from support.queue_contract import REVISION, a_delivery, an_event
from support.sink_script import PATIENCE, Book, Script

WINDOW = timedelta(hours=48)


class Watched(PostgresQueue):
    """The real queue; counts what is asked of it, and is away when a test says so."""

    def __init__(self, pool: asyncpg.Pool, *, lease_seconds: float) -> None:
        super().__init__(pool, lease_seconds=lease_seconds, duplicate_window=WINDOW)
        self.calls: Counter[str] = Counter()
        self.away: set[str] = set()
        self.claimed: list[tuple[Lane, int]] = []
        self.claims_made = asyncio.Event()
        self.answers = asyncio.Event()  # cleared: what claims bring is kept back
        self.answers.set()
        self._called = asyncio.Condition()

    async def claim(self, lanes: Sequence[Lane], *, most_bytes: int) -> list[Claimed]:
        """Remember how many each lane asked for and got."""
        await self._count("claim")
        jobs = await super().claim(lanes, most_bytes=most_bytes)
        self.claims_made.set()
        await self.answers.wait()
        got = Counter(job.integration_id for job in jobs)
        self.claimed += [(lane, got[lane.integration_id]) for lane in lanes]
        return jobs

    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        """Count it."""
        await self._count("settle")
        return await super().settle(batch)

    async def release(self, held: Sequence[Claimed]) -> None:
        """Count it."""
        await self._count("release")
        await super().release(held)

    async def renew(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Count it."""
        await self._count("renew")
        return await super().renew(held)

    async def waiting(self) -> list[Waiting]:
        """Count it."""
        await self._count("waiting")
        return await super().waiting()

    async def until_called(self, name: str, times: int = 1) -> None:
        """Wait until a method was called so many times more."""
        wanted = self.calls[name] + times
        async with asyncio.timeout(PATIENCE), self._called:
            await self._called.wait_for(lambda: self.calls[name] >= wanted)

    async def _count(self, name: str) -> None:
        async with self._called:
            self.calls[name] += 1
            self._called.notify_all()
        if name in self.away:
            raise Unavailable("away")


class Worker:
    """One process's engine."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        sink: Script,
        book: Book,
        *,
        lease_seconds: float = 60.0,
        poll_interval: float = 0.1,
        renew_interval: float = 20.0,
        delays: Sequence[float] = (0.0, 0.0),
        most_held: int = 2_000,
    ) -> None:
        self.queue = Watched(pool, lease_seconds=lease_seconds)
        self.lanes = Lanes(rules_of(book), own_tenant, most_held=most_held, most_bytes=10_000_000)
        policies = RetryPolicies(delays, jitter=0.0)
        self.engine = Engine(
            queue=self.queue,
            lanes=self.lanes,
            deliverer=Deliverer(
                book, dict.fromkeys(TransmissionType, sink), policies, on_gone=lambda *_: None
            ),
            recorder=Recorder(self.queue),
            poll_interval=poll_interval,
            renew_interval=renew_interval,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the engine for the block, and drain it."""
        self.engine.start()
        try:
            yield
        finally:
            await self.engine.drain(5.0)


class Store:
    """The database behind the engines of a test."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.queue = PostgresQueue(pool, lease_seconds=60, duplicate_window=WINDOW)
        self._number = 0

    async def add(self, to: str, count: int = 1, *, ordered: bool = False) -> list[UUID]:
        """Store events with a delivery each to an integration; return the deliveries' ids."""
        first = self._number
        self._number += count
        events = [an_event(f"call-{to}", number=number) for number in range(first, first + count)]
        deliveries = [a_delivery(event, to, ordered=ordered) for event in events]
        stored = await self.queue.append(events, deliveries, revision=REVISION)
        assert isinstance(stored, Appended)
        assert len(stored.fresh) == count
        return [delivery.id for delivery in deliveries]

    async def ended(self, to: str) -> dict[UUID, tuple[str, str | None, int]]:
        """Return (status, reason, attempts) of each delivery that ended."""
        rows = await self.pool.fetch(
            "select id, status, reason, attempts from deliveries where integration_id = $1", to
        )
        return {row["id"]: (row["status"], row["reason"], row["attempts"]) for row in rows}

    async def pending(self, to: str) -> list[asyncpg.Record]:
        """Return what is pending for an integration."""
        rows: list[asyncpg.Record] = await self.pool.fetch(
            "select * from pending where integration_id = $1 order by id", to
        )
        return rows

    async def until_ended(self, to: str, count: int) -> dict[UUID, tuple[str, str | None, int]]:
        """Wait until so many deliveries ended, also where a test cuts connections."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(*AWAY):
                    if len(ended := await self.ended(to)) >= count:
                        return ended


def rules_of(book: Book) -> Callable[[str], LaneRules]:
    """Return how the lanes look up what an integration of the book allows."""

    def look_up(integration_id: str) -> LaneRules:
        known = book.find(integration_id)
        if known is None:
            return LaneRules(max_in_flight=4, ordered=False)
        return LaneRules(known.max_in_flight, known.ordered, keeps_latest=known.keeps_latest)

    return look_up
