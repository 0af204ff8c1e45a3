"""An engine on the real queue, whose targets do as they are told."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import asyncpg
import pytest

from hookline.db.connections import pool
from hookline.queue.retention import PartitionKeeper
from support.scripted_engine import Store, Worker
from support.sink_script import Book, Script


@pytest.fixture(scope="module")
async def connections(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with pool(database, size=10) as opened:
        keeper = PartitionKeeper(opened, retention_days=30, duplicate_window=timedelta(hours=48))
        await keeper.keep()
        yield opened


@pytest.fixture
async def store(connections: asyncpg.Pool) -> Store:
    await connections.execute("truncate pending, event_keys, events, deliveries, attempts")
    return Store(connections)


@pytest.fixture
def sink() -> Script:
    return Script()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def a_worker(connections: asyncpg.Pool, sink: Script, book: Book) -> Callable[..., Worker]:
    def make(**changes: object) -> Worker:
        return Worker(connections, sink, book, **changes)  # type: ignore[arg-type]  # by name

    return make


@pytest.fixture
def worker(a_worker: Callable[..., Worker]) -> Worker:
    return a_worker()
