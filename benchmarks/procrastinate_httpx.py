"""The same delivery with Procrastinate and httpx: see `delivery.command`."""

import procrastinate
import uvloop

from delivery import IN_FLIGHT, Delivery, command, on_schedule, side_by_side

AT_ONCE = 1_000  # jobs in one call

app = procrastinate.App(connector=procrastinate.PsycopgConnector())  # PG… variables name it


@app.task(name="deliver")  # type: ignore[untyped-decorator,unused-ignore]  # unknown where it is not installed
async def deliver(id: str, body: str) -> None:  # noqa: A002 - the job's own name for it
    await _DELIVERY.send(_CLIENT, id, body)


async def fill(count: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            await deliver.batch_defer_async(*map(_DELIVERY.job, numbers))


async def feed(rate: float, seconds: float) -> None:
    async with app.open_async():
        await on_schedule(
            rate, seconds, lambda number: deliver.defer_async(**_DELIVERY.job(number))
        )


async def fan(events: int, each: int) -> None:
    async with app.open_async():
        await side_by_side(
            events, each, lambda numbers: deliver.batch_defer_async(*map(_DELIVERY.job, numbers))
        )


async def work() -> None:
    async with _CLIENT, app.open_async():
        await app.run_worker_async(concurrency=IN_FLIGHT)


if __name__ == "__main__":
    _DELIVERY = Delivery.asked_for()
    _CLIENT = _DELIVERY.client()
    uvloop.run(command(fill, feed, fan, work))
