"""The same delivery with Procrastinate and httpx: `procrastinate_httpx.py fill COUNT | work`."""

import sys

import procrastinate
import uvloop

from delivery import IN_FLIGHT, Delivery, client

AT_ONCE = 1_000  # jobs in one call

app = procrastinate.App(connector=procrastinate.PsycopgConnector())  # PG… variables name it


@app.task(name="deliver")
async def deliver(id: str, body: str) -> None:  # noqa: A002 - the job's own name for it
    await _DELIVERY.send(_CLIENT, id, body)


async def fill(count: int) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            await deliver.batch_defer_async(*map(_DELIVERY.job, numbers))


async def work() -> None:
    async with _CLIENT, app.open_async():
        await app.run_worker_async(concurrency=IN_FLIGHT, listen_notify=False)


if __name__ == "__main__":
    _DELIVERY = Delivery.asked_for()
    _CLIENT = client()
    uvloop.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work())
