"""A Postgres that a test may break: stopped, refilled, made read-only, or cut off from clients."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from hookline.db.embedded import EmbeddedPostgres
from hookline.db.embedded.ownership import read_pid_file
from hookline.db.errors import AWAY
from support.databases import Databases
from support.postgres_clients import ask, ask_until_answered

CONNECTIONS = 30
_WITHIN = 60.0  # seconds for what takes milliseconds on an idle machine
_END_OTHERS = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where usename = current_user and application_name <> 'a hog'"
)


class OwnPostgres:
    """A server and the ways to break it; each is undone at its block's end."""

    def __init__(self, folder: Path) -> None:
        self._data_dir = folder / "data"
        settings = {
            "max_connections": str(CONNECTIONS),
            "autovacuum_worker_slots": "2",
            "min_wal_size": "32MB",
            "max_wal_size": "64MB",
        }
        self._server = EmbeddedPostgres(
            self._data_dir, system_dir=folder / "system_dir", settings=settings
        )
        self.dsn = ""

    async def start(self) -> None:
        self.dsn = await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    @property
    def postmaster(self) -> psutil.Process:
        """The server's first process."""
        written = read_pid_file(self._data_dir / "postgres/data")
        assert written is not None
        return psutil.Process(written.pid)

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Have no server for the time of the block."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Refuse writes, as a server does that has become a replica."""
        configuration = self._data_dir / "postgres/postgresql.conf"
        writable = configuration.read_text()
        await self._reload(configuration, f"{writable}default_transaction_read_only = on\n", "on")
        try:
            yield
        finally:
            await self._reload(configuration, writable, "off")

    @asynccontextmanager
    async def letting_nobody_in(self) -> AsyncIterator[None]:
        """Refuse every login, as a server does whose role has another password now."""
        access = self._data_dir / "postgres/pg_hba.conf"
        usual = access.read_text()
        access.write_text("local all all reject\n")
        self.postmaster.send_signal(signal.SIGHUP)
        async with asyncio.timeout(_WITHIN):
            with suppress(asyncpg.InvalidAuthorizationSpecificationError):
                while True:
                    await ask(self.dsn, "select 1")
        for process in self.postmaster.children():
            if "[local]" in " ".join(process.cmdline()):
                process.terminate()
        try:
            yield
        finally:
            access.write_text(usual)
            self.postmaster.send_signal(signal.SIGHUP)
            await self.until_answering()

    @asynccontextmanager
    async def out_of_connections(self) -> AsyncIterator[None]:
        """Take every connection there is, those that the service has included."""
        async with AsyncExitStack() as stack:
            first = await self._hold_one(stack)
            held = 1
            async with asyncio.timeout(_WITHIN):
                while held < CONNECTIONS:
                    try:
                        await self._hold_one(stack)
                        held += 1
                    except asyncpg.TooManyConnectionsError:
                        await first.execute(_END_OTHERS)
            yield

    async def _hold_one(self, stack: AsyncExitStack) -> Any:  # noqa: ANN401 - asyncpg ships no types
        client = await asyncpg.connect(
            self.dsn, timeout=_WITHIN, server_settings={"application_name": "a hog"}
        )
        stack.push_async_callback(client.close, timeout=_WITHIN)
        return client

    async def _reload(self, configuration: Path, text: str, expected: str) -> None:
        configuration.write_text(text)  # noqa: ASYNC240 - a few kilobytes, and nobody waits
        self.postmaster.send_signal(signal.SIGHUP)
        async with asyncio.timeout(_WITHIN):
            while await ask(self.dsn, "show default_transaction_read_only") != expected:
                pass

    async def until_answering(self) -> None:
        """Wait until the server answers, after whatever happened to it."""
        assert await ask_until_answered(self.dsn, "select 1") == 1


async def terminate(dsn: str, condition: str) -> int:
    """Cut the sessions of one database that a condition is true of; return how many."""
    try:
        count: int = await ask(
            dsn,
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"  # noqa: S608 - ours
            f" where datname = current_database() and pid <> pg_backend_pid() and {condition}",
        )
    except AWAY:
        return 0
    return count


@asynccontextmanager
async def own_postgres(folder: Path) -> AsyncIterator[OwnPostgres]:
    """Run a server that the block may break."""
    server = OwnPostgres(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def migrated(server: OwnPostgres) -> AsyncIterator[str]:
    """Give the address of a fresh, migrated database of this server."""
    databases = Databases(server.dsn)
    async with databases.migrated() as dsn:
        yield dsn
    await databases.aclose()
