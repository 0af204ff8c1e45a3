"""Compares the models with what the migrations make; `make check` fails where they differ.

`PYTHONPATH=tests python -m support.drift` starts a Postgres of its own for the seconds it takes.
"""

import asyncio
import sys

from alembic import command
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db import connections
from hookline.db.embedded import EmbeddedPostgres
from hookline.db.migrate import alembic_config, migrate
from support.places import passable_folder


async def differences(engine: AsyncEngine) -> str | None:
    """Say what differs between the models and this migrated database; None: nothing does."""

    def compare(connection: Connection) -> str | None:
        try:
            command.check(alembic_config(connection))
        except CommandError as error:
            return str(error)
        return None

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


async def main() -> str | None:
    """Migrate a fresh database and compare."""
    with passable_folder() as folder:
        server = EmbeddedPostgres(folder / "data", system_dir=folder / "system_dir")
        engine = connections.engine(await server.start(), pool_size=1)
        try:
            await migrate(engine)
            return await differences(engine)
        finally:
            await engine.dispose()
            await server.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
