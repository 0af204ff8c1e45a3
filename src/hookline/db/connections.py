"""Opens both ways into Postgres: SQLAlchemy's engine for records, asyncpg's pool for the queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hookline.errors import ConfigurationError, Unavailable

_CONNECT_TIMEOUT = 5.0  # seconds; a server that takes longer is as good as away
_LATE = 1.0  # seconds after a statement's own end before its server is taken for gone

AWAY = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a session's end in the middle of something looks like
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
)
"""What asyncpg raises while Postgres is away, refusing, read-only, full, in a knot or too slow."""

_PLANS_LAST = 60  # seconds; tables that were empty when a plan was made have filled by then
_BY_KEY = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""The queue's statements look rows up by key. A plan made while the tables were empty, or from
statistics of yesterday, must do so as well."""


def engine(
    dsn: str, *, pool_size: int = 5, statement_timeout: float = 10.0, patient: bool = False
) -> AsyncEngine:
    """Return an engine over asyncpg for a `postgresql://` address; nothing is connected yet.

    Postgres ends a statement after `statement_timeout` seconds. A Postgres that says nothing at all
    is given up a second later, unless `patient`: a migration's statements may take minutes.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "HOOKLINE_DATABASE_URL must start with postgresql://, the one database Hookline uses."
        )

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            dsn,
            timeout=_CONNECT_TIMEOUT,
            command_timeout=None if patient else statement_timeout + _LATE,
            server_settings=_session(statement_timeout),
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,  # asyncpg reads the address, and so knows `?sslmode=` and its like
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_CONNECT_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,  # an error names its statement, and never the values in it
    )


@asynccontextmanager
async def pool(
    dsn: str, *, size: int = 6, statement_timeout: float = 10.0
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool for the queue's statements and close it at the end.

    `statement_timeout` is in seconds. Raises Unavailable when Postgres cannot be reached.
    """
    opened: asyncpg.Pool | None = None
    try:
        opened = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=_CONNECT_TIMEOUT,
            command_timeout=statement_timeout + _LATE,
            server_settings={**_session(statement_timeout), **_BY_KEY},
            max_cached_statement_lifetime=_PLANS_LAST,
            reset=_nothing_to_reset,
        )
    except AWAY as error:
        raise Unavailable("The database cannot be reached.") from error
    try:
        yield opened
    finally:
        try:
            await asyncio.wait_for(opened.close(), _CONNECT_TIMEOUT)
        except AWAY:
            opened.terminate()


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Do nothing: the queue's statements leave a session as it was.

    asyncpg rolls back what is open even so; its default, four more statements in a round trip of
    their own, cost as much as the statement that they followed.
    """


def _session(statement_timeout: float) -> dict[str, Any]:
    """Return the settings of each session: bounded statements, and plans that never use JIT."""
    return {
        "application_name": "hookline",
        "statement_timeout": str(int(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": "30000",
        "jit": "off",
        "timezone": "UTC",
    }
