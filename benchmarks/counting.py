"""What statistics cost a delivery: its settlement's log entry, and counting that into roll-ups.

    .venv/bin/python benchmarks/counting.py [--rounds 150] [--batch 64] [--integrations 50]

Settles batches in a Postgres of its own, in turn with the statement as it is and with one that
logs nothing, then counts what was logged, as a process does it every few seconds. Prints CPU time
of the server's session and of this process, for each delivery: the median round of each kind.
"""

import argparse
import asyncio
import re
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
from sqlalchemy import text

from hookline import logs
from hookline.db import connections
from hookline.history.roll_ups import RollUps
from hookline.queue.port import Lane, Settlement
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from own_postgres import own_postgres
from queue_batches import delivered, new_batch

_DRAIN = 178.0  # microseconds of the service and of Postgres: a delivery of the scenario `drain`
_LOGGED = re.compile(r"logged as \(.*?\n\),\n", re.DOTALL)


class Cpu:
    """CPU time of this process and of one session of the server, in microseconds."""

    def __init__(self, backend: int) -> None:
        self._backend = Path(f"/proc/{backend}/schedstat")

    def now(self) -> float:
        return time.process_time() * 1e6 + int(self._backend.read_text().split()[0]) / 1e3


class Work:
    """Deliveries of several integrations, stored and settled batch by batch."""

    def __init__(self, pool: asyncpg.Pool, batch: int, integrations: int) -> None:
        self.queue = PostgresQueue(pool, lease_seconds=60, duplicate_window=timedelta(hours=48))
        self._batch = batch
        self._lanes = [f"lane{number}" for number in range(integrations)]
        self._number = 0

    async def leased(self) -> list[Settlement]:
        """Store a batch, claim it, and return how it is to be settled."""
        events, deliveries = new_batch(self._number, self._batch, self._lanes)
        self._number += self._batch
        await self.queue.append(events, deliveries, revision=1)
        lanes = [Lane(lane, self._batch) for lane in self._lanes]
        claimed = await self.queue.claim(lanes, most_bytes=1 << 24)
        return delivered(claimed)


async def main(rounds: int, batch: int, integrations: int) -> None:
    async with own_postgres() as dsn, connections.pool(dsn, size=1) as pool:
        keeper = PartitionKeeper(pool, retention_days=30, duplicate_window=timedelta(hours=48))
        await keeper.keep()
        work = Work(pool, batch, integrations)
        cpu = Cpu(await pool.fetchval("select pg_backend_pid()"))
        as_it_is = work.queue._settle  # noqa: SLF001 - a variant of it is measured
        without, count = _LOGGED.subn("", as_it_is)
        if count != 1:
            raise SystemExit("The log of settlements is not where it was.")
        taken: dict[str, list[float]] = {as_it_is: [], without: []}
        for number in range(2 * rounds):
            statement = (as_it_is, without)[number % 2]
            settlements = await work.leased()
            work.queue._settle = statement  # noqa: SLF001
            before = cpu.now()
            ended = await work.queue.settle(settlements)
            taken[statement].append((cpu.now() - before) / len(ended))
        logged = statistics.median(taken[as_it_is]) - statistics.median(taken[without])
        engine = connections.engine(dsn, pool_size=1)
        roll_ups = RollUps(engine, days=30)
        await roll_ups.keep()  # warms it
        await pool.execute("update settlements set counted = false")
        async with engine.connect() as connection:
            pid = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
        cpu = Cpu(pid)
        before = cpu.now()
        await roll_ups.keep()
        counted = (cpu.now() - before) / (rounds * batch)
        await engine.dispose()
    print(f"settling {statistics.median(taken[as_it_is]):.1f} us a delivery, without the log")
    print(f"{statistics.median(taken[without]):.1f} us: the log takes {logged:.2f} us")
    print(f"counting {rounds} entries: {counted:.2f} us a delivery")
    print(
        f"together {(logged + counted) / _DRAIN:.1%} of the {_DRAIN:.0f} us that one of drain takes"
    )


if __name__ == "__main__":
    logs.configure(level="ERROR")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--integrations", type=int, default=50)
    asked = parser.parse_args()
    sys.exit(asyncio.run(main(asked.rounds, asked.batch, asked.integrations)))
