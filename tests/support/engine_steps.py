"""Steps that tests of the engine share."""

import asyncio
from collections.abc import Callable, Mapping
from uuid import UUID

from msgspec.structs import replace

from hookline.domain.targets import TransmissionType
from hookline.queue.port import Claimed, Lane, NewDelivery, NewEvent
from hookline.sinks import Sink
from support.jobs import a_job
from support.queue_contract import REVISION, a_delivery, an_event
from support.scripted_engine import Store, Worker

DELIVERED = ("delivered", None, 1)
Sinks = Mapping[TransmissionType, Sink]


def born(worker: Worker, delivery: NewDelivery, event: NewEvent) -> Claimed:
    """Return a delivery as ingest hands it over."""
    job = a_job(delivery.integration_id, lease=worker.queue.born_lease, identifier=delivery.id)
    return replace(job, event_id=event.id, event=event.event)


async def stored_for(worker: Worker, store: Store, count: int, to: str = "crm") -> list[Claimed]:
    """Store deliveries leased to a worker, as another process does, and return what it is told."""
    jobs = []
    for number in range(count):
        event = an_event("handed", number=number)
        delivery = replace(a_delivery(event, to, leased=True), holder=worker.queue.born_lease)
        await store.queue.append([event], [delivery], revision=REVISION)
        jobs.append(born(worker, delivery, event))
    return jobs


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not claim():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def until_over(store: Store, to: str) -> None:
    """Wait until the leases of an integration have run out, by the database's clock."""
    query = (
        "select bool_and(coalesce(leased_until, now()) <= now()) from pending"
        " where integration_id = $1"
    )
    async with asyncio.timeout(30):
        while not await store.pool.fetchval(query, to):
            pass


async def take_over(store: Store, to: str, count: int) -> list[UUID]:
    """Claim, as another process would, what an integration's leases set free when they end."""
    await until_over(store, to)
    await store.queue.waiting()
    jobs = await store.queue.claim([Lane(to, count)], most_bytes=1_000_000)
    return [job.id for job in jobs]
