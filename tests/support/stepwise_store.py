"""A store with the partitions of these days, for tests whose steps are not coroutines."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from hookline.db.connections import pool
from hookline.queue.retention import PartitionKeeper

if TYPE_CHECKING:
    import asyncpg

WINDOW = timedelta(hours=48)

Answer = TypeVar("Answer")


class StepwiseStore:
    """A pool of connections, and the event loop that it lives in."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self._opening = pool(dsn, size=2)
        self.pool: asyncpg.Pool = self.run(self._opening.__aenter__())
        keeper = PartitionKeeper(self.pool, retention_days=30, duplicate_window=WINDOW)
        self.run(keeper.keep())

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(work)

    def execute(self, query: str, *arguments: object) -> None:
        self.run(self.pool.execute(query, *arguments))

    def close(self) -> None:
        self.run(self._opening.__aexit__(None, None, None))
        self._runner.close()
