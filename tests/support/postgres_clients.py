"""What tests of a database server ask of it, through asyncpg."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

_PATIENCE_S = 60.0
_CONNECTED_S = 30.0  # as above, on a busy machine
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@asynccontextmanager
async def connection(dsn: str) -> AsyncIterator[Any]:  # asyncpg ships no types
    """Give a connection for the time of the block."""
    client = await asyncpg.connect(dsn, timeout=_CONNECTED_S)
    try:
        yield client
    finally:
        await client.close(timeout=_CONNECTED_S)


async def ask(dsn: str, query: str, *arguments: object) -> Any:  # noqa: ANN401  # the query's type
    """Return the first value of a query's answer, over a connection of its own."""
    async with connection(dsn) as client:
        return await client.fetchval(query, *arguments)


async def ask_until_answered(dsn: str, query: str, *arguments: object) -> Any:  # noqa: ANN401  # the same
    """Return the answer as soon as the server gives one again."""
    policy = AsyncRetrying(
        stop=stop_after_delay(_PATIENCE_S),
        wait=wait_fixed(0.02),
        retry=retry_if_exception_type(_AWAY),
        reraise=True,
    )
    return await policy(ask, dsn, query, *arguments)
