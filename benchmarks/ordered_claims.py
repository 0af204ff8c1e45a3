"""What a claim costs of a lane that keeps order while 50,000 deliveries of a dead target wait.

    .venv/bin/python benchmarks/ordered_claims.py [--waiting 50000]

Starts a Postgres of its own. First every delivery is of another subject, then all are of one. All
first deliveries wait for their retry but ten, which are claimed; then one more claim finds nothing.
Prints the least milliseconds of several claims, and of the poll that finds the lane.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hookline import logs
from hookline.db import connections
from hookline.queue.port import Claimed, Lane
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from own_postgres import own_postgres

_ROUNDS = 20
_DUE = 10  # subjects whose first delivery may go
_LANE = "dead00"
_FILL = """
with made as materialized (
    select gen_random_uuid() as id, uuidv7() as event_id, number,
        'call-' || case when $2::bool then 0 else number end as subject,
        case when number >= $3::int then now() + interval '1 hour' else now() end as due_at
    from generate_series(0, $1::int - 1) as number
),
stored as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select event_id, '1', '1', 'call:start', subject, 0, '{}', 1 from made
),
waiting as (
    insert into pending (
        id, event_id, integration_id, type, ordering, position, attempts, claims, once, due_at
    )
    select id, event_id, 'dead00', 'call:start', subject, number + 1, 1, 1, false, due_at from made
)
insert into subjects (integration_id, ordering, due_at, position)
select 'dead00', subject, min(due_at), min(number) + 1 from made group by subject
"""


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def measure(dsn: str, waiting: int, *, one_subject: bool) -> str:
    async with connections.pool(dsn, statement_timeout=120.0) as pool:
        window = timedelta(hours=48)
        await PartitionKeeper(pool, retention_days=30, duplicate_window=window).keep()
        await pool.execute("truncate pending, subjects, events")
        await pool.execute(_FILL, waiting, one_subject, _DUE)
        await pool.execute("vacuum analyze pending")
        queue = PostgresQueue(pool, lease_seconds=60, duplicate_window=window)
        full, empty, polls = [], [], []

        async def claim() -> None:
            claimed.extend(await queue.claim([Lane(_LANE, 16, ordered=True)], most_bytes=1 << 20))

        for _ in range(_ROUNDS):
            claimed: list[Claimed] = []
            full.append(await milliseconds(claim))
            if len(claimed) != (1 if one_subject else _DUE):
                raise SystemExit(f"{len(claimed)} deliveries were claimed")
            empty.append(await milliseconds(claim))
            polls.append(await milliseconds(queue.waiting))
            await queue.release(claimed)
    return (
        f"claimed {min(full):.1f} ms, nothing to claim"
        f" {min(empty):.1f} ms, poll {min(polls):.1f} ms"
    )


async def main(waiting: int) -> None:
    async with own_postgres() as dsn:
        for one_subject in (False, True):
            kind = "one subject" if one_subject else "as many subjects"
            print(f"{waiting:,} of {kind}: {await measure(dsn, waiting, one_subject=one_subject)}")


if __name__ == "__main__":
    logs.configure()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=50_000)
    sys.exit(asyncio.run(main(parser.parse_args().waiting)))
