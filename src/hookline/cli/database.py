"""`hookline migrate`, and the way in which short commands reach the database."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hookline.cli import terminal
from hookline.cli.remote.api import AsJson
from hookline.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from hookline.settings import Settings


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to this version's schema. Several at once are fine."""
    from hookline.db.migrate import newest_revision  # noqa: PLC0415
    from hookline.settings import load_settings  # noqa: PLC0415

    asyncio.run(_migrate(load_settings()))
    if as_json:
        terminal.print_json({"migration": newest_revision()})
    else:
        sys.stdout.write(f"The database is at migration {newest_revision()}.\n")


@asynccontextmanager
async def records(settings: "Settings") -> AsyncIterator["AsyncEngine"]:
    """Open the migrated database for one command, whether or not a service runs on it.

    The bundled one is migrated here; another one is its operator's to migrate.
    """
    from hookline.db.migrate import is_current  # noqa: PLC0415
    from hookline.db.migrate import migrate as upgrade  # noqa: PLC0415

    async with _engine(settings) as engine:
        if settings.embedded:
            await upgrade(engine)
        elif not await is_current(engine):
            raise ConfigurationError(
                "The database is not at this version's schema: run `hookline migrate` first."
            )
        yield engine


async def _migrate(settings: "Settings") -> None:
    from hookline.db.migrate import migrate as upgrade  # noqa: PLC0415

    async with _engine(settings, patient=True) as engine:
        await upgrade(engine)


@asynccontextmanager
async def _engine(settings: "Settings", *, patient: bool = False) -> AsyncIterator["AsyncEngine"]:
    from hookline import logs  # noqa: PLC0415
    from hookline.db import connections  # noqa: PLC0415
    from hookline.db.errors import explained  # noqa: PLC0415
    from hookline.db.inspection import check_server  # noqa: PLC0415

    logs.configure(level="WARNING", console=True)  # to standard error; the answer is on the other
    async with dsn_of(settings) as dsn:
        engine = connections.engine(dsn, pool_size=2, patient=patient)
        try:
            with explained(dsn):
                if not settings.embedded:
                    await check_server(dsn, engine)
                yield engine
        finally:
            await engine.dispose()


@asynccontextmanager
async def dsn_of(settings: "Settings") -> AsyncIterator[str]:
    """Give the database's address; the bundled one runs at least until the block ends."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from hookline.db.embedded import attach_or_start  # noqa: PLC0415

    async with attach_or_start(settings.data_dir) as dsn:
        yield dsn
