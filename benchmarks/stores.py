"""Where the compared programs keep their jobs: a Postgres like Hookline's own, or a durable Redis.

Each yields the process whose family is the store, and the variables that name it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from bench.processes import BenchFailed
from hookline.db.embedded import EmbeddedPostgres
from hookline.db.embedded.home import find
from hookline.db.embedded.ownership import read_pid_file
from hookline.server.processes import running

Named = tuple[psutil.Process, dict[str, str]]
START = 10.0  # seconds for an empty Redis
LOOK_EVERY = 0.02  # seconds


@asynccontextmanager
async def postgres(directory: Path) -> AsyncIterator[Named]:
    """Run the bundled Postgres with the settings that Hookline gives it."""
    server = EmbeddedPostgres(directory / "data")
    dsn = urlsplit(await server.start())
    try:
        file = read_pid_file(find(directory / "data").data)
        if file is None:
            raise BenchFailed("Postgres does not run.")
        query = parse_qs(dsn.query)
        named = {
            "PGHOST": query["host"][0],
            "PGPORT": query["port"][0],
            "PGUSER": dsn.username or "",
            "PGPASSWORD": dsn.password or "",
            "PGDATABASE": dsn.path.lstrip("/"),
        }
        yield psutil.Process(file.pid), named
    finally:
        await server.stop()


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[Named]:
    """Run Redis so that what it has taken is on disk, as a 202 promises."""
    socket = directory / "redis.sock"
    place = ("--port", "0", "--unixsocket", str(socket), "--dir", str(directory))
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    log = directory / "redis.log"
    async with running(("redis-server", *place, *durable), directory, log, {}) as process:
        async with asyncio.timeout(START):
            while not await asyncio.to_thread(socket.exists):  # noqa: ASYNC110 - Redis makes it
                await asyncio.sleep(LOOK_EVERY)
        yield psutil.Process(process.pid), {"BENCH_REDIS": str(socket)}
