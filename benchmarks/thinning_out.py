"""How long it takes to end 1,000,000 deliveries that are too old, or replaced by newer ones.

    .venv/bin/python benchmarks/thinning_out.py [--waiting 1000000]

Starts a Postgres of its own, and ends them as the service does, one statement after another. Prints
the seconds for all, the longest statement, and Postgres' processor time for one delivery. First all
are stale, of 100 integrations; then ten of every subject wait, of which the newest replaces nine.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import psutil

from bench.measure import processor_time
from hookline import logs
from hookline.db import connections
from hookline.queue.outdated import OutdatedDeliveries
from hookline.queue.retention import PartitionKeeper
from own_postgres import own_postgres

_FILL = """
with made as materialized (
    select uuidv7() as id, uuidv7() as event_id, number, number / 10 as subject
    from generate_series(0, $1::int - 1) as number
),
stored as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select event_id, '1', '1', 'presence:user', subject::text, 0, '{}', 1 from made
)
insert into pending (
    id, event_id, integration_id, type, position, attempts, claims, once, due_at, stale_at,
    replacement_key
)
select id, event_id, 'slow' || lpad((subject % 100)::text, 2, '0'), 'presence:user', number + 1, 0,
    0, false, now(), case when $2::bool then now() end,
    case when not $2::bool then md5(subject::text)::uuid end
from made
"""


class Watched:
    """Passes statements to a pool, and notes the seconds of the longest."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.longest = 0.0

    async def fetch(self, *of: Any) -> Sequence[asyncpg.Record]:  # noqa: ANN401 - as asyncpg has it
        rows: Sequence[asyncpg.Record] = await self._timed(self._pool.fetch(*of))
        return rows

    async def fetchval(self, *of: Any) -> Any:  # noqa: ANN401 - as asyncpg has it
        return await self._timed(self._pool.fetchval(*of))

    async def _timed(self, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - what it gives
        began = time.perf_counter()
        try:
            return await work
        finally:
            self.longest = max(self.longest, time.perf_counter() - began)


async def measure(dsn: str, server: psutil.Process, waiting: int, *, stale: bool) -> str:
    async with connections.pool(dsn, statement_timeout=600.0) as pool:
        await PartitionKeeper(pool, retention_days=30, duplicate_window=timedelta(hours=48)).keep()
        await pool.execute("truncate pending, events, deliveries")
        await pool.execute(_FILL, waiting, stale)
        await pool.execute("vacuum analyze pending")
        watched = Watched(pool)
        outdated = OutdatedDeliveries(watched, skipped=lambda *_: None)
        work: Callable[[], Awaitable[None]] = (
            outdated.end_stale if stale else outdated.end_superseded
        )
        before, began = processor_time(server), time.perf_counter()
        await work()
        took, spent = time.perf_counter() - began, processor_time(server) - before
        left = await pool.fetchval("select count(*) from pending")
        if left != (0 if stale else waiting // 10):
            raise SystemExit(f"{left:,} deliveries are left")
    ended = waiting - left
    return (
        f"{ended:,} ended in {took:.1f} s, the longest statement {watched.longest * 1000:.0f} ms,"
        f" {spent / ended * 1e6:.0f} µs of Postgres each"
    )


async def main(waiting: int) -> None:
    async with own_postgres() as dsn:
        [root] = (each for each in psutil.Process().children() if "postgres" in each.name())
        for stale in (True, False):
            kind = "stale" if stale else "replaced"
            print(f"{kind}: {await measure(dsn, root, waiting, stale=stale)}", flush=True)


if __name__ == "__main__":
    logs.configure()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    sys.exit(asyncio.run(main(parser.parse_args().waiting)))
