import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hookline.db.listener import Listener
from support.postgres_clients import ask

_SOON = 20.0  # seconds; far more than it takes


class Heard:
    """Counts calls of a handler, and lets a test wait for the next ones."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, payload: str) -> None:
        self.count += 1
        self.last = payload
        task = asyncio.create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(_SOON), self._changed:
            await self._changed.wait_for(lambda: self.count >= count)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_new_connection_counts_as_a_notification_on_every_channel(database: str) -> None:
    one, other = Heard(), Heard()
    async with listening(Listener(database, {"one": one, "other": other})):
        await one.until(1)
        await other.until(1)


async def test_a_notification_calls_its_channels_handler_alone(database: str) -> None:
    one, other = Heard(), Heard()
    async with listening(Listener(database, {"one": one, "other": other})):
        await other.until(1)
        await ask(database, "select pg_notify('one', 'what')")
        await one.until(2)
        assert (one.last, other.count) == ("what", 1)


async def test_a_connection_that_is_cut_is_made_again_at_once_and_as_often_as_it_takes(
    database: str,
) -> None:
    heard = Heard()
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'hookline listener' and datname = current_database()"
    )
    async with listening(Listener(database, {"cut": heard})):
        for times in range(1, 4):
            await heard.until(times)
            await ask(database, cut)
        await heard.until(4)
        await ask(database, "select pg_notify('cut', '')")
        await heard.until(5)


async def test_a_handler_that_fails_does_not_end_the_listening(database: str) -> None:
    heard = Heard()
    failed = False

    def fails_once(payload: str) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise LookupError("a fault of ours")
        heard(payload)

    async with listening(Listener(database, {"fails": fails_once})):
        await heard.until(1)
