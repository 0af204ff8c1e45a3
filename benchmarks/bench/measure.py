"""What a run costs, read from outside: processor time, memory, transactions and WAL bytes.

Processor time comes from the kernel. A Postgres backend that ends adds its time to its parent's
account of children, so the sum over all of them never misses one. Round trips are counted as
transactions: each of the queue's statements is one of its own. Postgres counts those with up to a
second's delay, which is the same at a phase's start and at its end.
"""

import contextlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from bench.layout import Layout
from bench.processes import BenchFailed
from hookline.db.connections import pool
from hookline.db.embedded import running_dsn
from hookline.db.embedded.home import find
from hookline.db.embedded.ownership import read_pid_file

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB").search  # what Linux keeps of a process's memory
_KIBIBYTE, _MEGABYTE = 1_024, 1_000_000

_COUNTERS = """\
select
    xact_commit + xact_rollback as transactions,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8 as wal_bytes
from pg_stat_database
where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the counters said at one moment."""

    at: int  # nanoseconds of CLOCK_MONOTONIC
    cpu: dict[str, float]  # seconds by role
    waited: float  # seconds that the service could have run, and others had the processor
    transactions: int
    wal_bytes: int


class Gauge:
    """Reads the counters of one service, its Postgres, the receiver and the generator."""

    def __init__(self, database: asyncpg.Pool, postmaster: int, roles: dict[str, int]) -> None:
        self.database = database
        self.postmaster = postmaster
        self._roots = {role: psutil.Process(pid) for role, pid in roles.items()}

    async def read(self) -> Reading:
        """Read everything now."""
        row = await self.database.fetchrow(_COUNTERS)
        assert row is not None  # noqa: S101 - the database that answers is in its own statistics
        postmaster = psutil.Process(self.postmaster)
        cpu = {"postgres": processor_time(postmaster)}
        database = {process.pid for process in family(postmaster)}
        for role, root in self._roots.items():
            ours = [process for process in family(root) if process.pid not in database]
            cpu[role] = sum(map(_own, ours))
        waited = _waited(self._roots["service"].pid)
        return Reading(time.monotonic_ns(), cpu, waited, row["transactions"], row["wal_bytes"])

    def most_memory(self) -> float:
        """Return the most memory that one process of the service had so far, in megabytes."""
        database = {process.pid for process in family(psutil.Process(self.postmaster))}
        service = [each for each in family(self._roots["service"]) if each.pid not in database]
        return max(map(_peak, service)) / _MEGABYTE


@asynccontextmanager
async def gauge(data_dir: Path, layout: Layout, roles: dict[str, int]) -> AsyncIterator[Gauge]:
    """Attach to the service's Postgres and pin it."""
    dsn, server = running_dsn(data_dir), read_pid_file(find(data_dir).data)
    if dsn is None or server is None:
        raise BenchFailed("The service's Postgres does not run.")
    layout.pin("postgres", [process.pid for process in family(psutil.Process(server.pid))])
    async with pool(dsn, size=1, statement_timeout=600.0) as database:
        yield Gauge(database, server.pid, roles)


def processor_time(root: psutil.Process) -> float:
    """Return the seconds that a process and all it ever started have used."""
    return sum(map(_with_ended_children, family(root)))


def family(root: psutil.Process) -> list[psutil.Process]:
    """Return a process and all that it has started and that still run."""
    return [root, *root.children(recursive=True)]


def _peak(process: psutil.Process) -> int:
    """Return the most resident memory in bytes; outside of Linux, what it is now."""
    status = Path(f"/proc/{process.pid}/status")
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        if status.exists() and (found := _PEAK(status.read_text())):
            return int(found[1]) * _KIBIBYTE
        return int(process.memory_info().rss)
    return 0


def _waited(pid: int) -> float:
    """Return how long a process's main thread waited for a processor; 0 where nobody counts."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def _own(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _with_ended_children(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(times.user + times.system + ended)
    return 0.0
