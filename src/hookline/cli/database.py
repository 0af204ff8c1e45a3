"""`hookline migrate`, and the way in which short commands reach the database."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from hookline.settings import Settings


def migrate() -> None:
    """Bring the database to this version's schema. Several at once are fine."""
    asyncio.run(_migrate())


@asynccontextmanager
async def records(settings: "Settings") -> AsyncIterator["AsyncEngine"]:
    """Open the database for one command, whether or not a service is running on it."""
    from hookline.db import connections  # noqa: PLC0415

    async with _dsn(settings) as dsn:
        engine = connections.engine(dsn, pool_size=2)
        try:
            yield engine
        finally:
            await engine.dispose()


@asynccontextmanager
async def _dsn(settings: "Settings") -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from hookline.db.embedded import attach_or_start  # noqa: PLC0415

    async with attach_or_start(settings.data_dir) as dsn:
        yield dsn


async def _migrate() -> None:
    from hookline.db.migrate import migrate as upgrade  # noqa: PLC0415
    from hookline.db.migrate import newest_revision  # noqa: PLC0415
    from hookline.settings import load_settings  # noqa: PLC0415

    async with records(load_settings()) as engine:
        await upgrade(engine)
    sys.stdout.write(f"The database is at migration {newest_revision()}.\n")
