"""Alembic's entry: runs on the connection that hookline.db.migrate hands over."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

import hookline.db.queue_models  # noqa: F401 - their tables join Base.metadata
from hookline.db.connections import engine as open_engine
from hookline.db.migrate import belongs_to_models
from hookline.db.models import Base


def run(connection: Connection) -> None:
    """Run what Alembic was asked for in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=belongs_to_models,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Serve the `alembic` command, which brings no connection of its own."""
    engine = open_engine(os.environ["HOOKLINE_DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    asyncio.run(connect_and_run())
