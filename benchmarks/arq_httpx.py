"""The same delivery with arq and httpx: see `delivery.command`. Redis: BENCH_REDIS."""

import asyncio
import os
from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from delivery import IN_FLIGHT, Delivery, command, on_schedule, side_by_side

AT_ONCE = 100  # jobs that are enqueued at a time

_REDIS = RedisSettings(unix_socket_path=os.environ["BENCH_REDIS"])


async def deliver(context: dict[str, Any], id: str, body: str) -> None:  # noqa: A002 - the job's own name for it
    await context["delivery"].send(context["client"], id, body)


async def fill(count: int) -> None:
    delivery = Delivery.asked_for()
    redis = await create_pool(_REDIS)
    for first in range(0, count, AT_ONCE):
        jobs = [delivery.job(n) for n in range(first, min(first + AT_ONCE, count))]
        await asyncio.gather(*(redis.enqueue_job("deliver", **job) for job in jobs))
    await redis.aclose()


async def feed(rate: float, seconds: float) -> None:
    delivery = Delivery.asked_for()
    redis = await create_pool(_REDIS)
    await on_schedule(
        rate, seconds, lambda number: redis.enqueue_job("deliver", **delivery.job(number))
    )
    await redis.aclose()


async def fan(events: int, each: int) -> None:
    delivery = Delivery.asked_for()
    redis = await create_pool(_REDIS)

    async def enqueue(numbers: range) -> None:  # arq has no call for several
        jobs = map(delivery.job, numbers)
        await asyncio.gather(*(redis.enqueue_job("deliver", **job) for job in jobs))

    await side_by_side(events, each, enqueue)
    await redis.aclose()


async def work() -> None:
    delivery = Delivery.asked_for()
    async with delivery.client() as opened:
        worker = Worker(
            functions=[func(deliver, keep_result=0)],
            redis_settings=_REDIS,
            max_jobs=IN_FLIGHT,
            poll_delay=0.01,  # seconds; the default of 0.5 would leave it idle between batches
            ctx={"client": opened, "delivery": delivery},
            handle_signals=False,
        )
        await worker.async_run()


if __name__ == "__main__":
    uvloop.run(command(fill, feed, fan, work))
