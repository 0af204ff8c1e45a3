"""Brings a database to this version's schema; safe to run from many processes at once.

A migration makes an index of a partitioned table on the parent alone (`on only`). What the days'
partitions lack of it is built here, concurrently, after the migrations' transaction: readers and
writers go on, and what a process that died leaves half built is built anew.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.schema import SchemaItem

from hookline.db import connections
from hookline.db.inspection import check_session, current_revision
from hookline.db.partitions import is_partition
from hookline.db.statements import statement
from hookline.errors import ConfigurationError
from hookline.logs import get_logger

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 0x686F6F6B6C696E65  # "hookline" in ASCII: an advisory lock that nobody else takes
_LOOK_AGAIN = 0.5  # seconds
_MISSING_INDEXES = text(statement("db/missing_indexes"))
_LOG = get_logger(__name__)


async def migrate(engine: AsyncEngine, target: str = "head") -> None:
    """Upgrade (or, with an older `target`, downgrade) the schema, one process at a time.

    The engine should be a patient one. Raises ConfigurationError where the server is not one that
    Hookline can work with, or where a newer Hookline has migrated the database.
    """
    async with engine.connect() as connection:
        await check_session(connection)
        # An index on a large table takes minutes, and so does waiting for who makes it.
        usual = (await connection.execute(text("show statement_timeout"))).scalar()
        await connection.execute(text("set statement_timeout = 0"))
        await _lock(connection)
        try:
            await connection.run_sync(_run, target)
            await connection.commit()
            await _build_indexes(connection)
        finally:
            await connection.rollback()
            await connection.execute(text("select pg_advisory_unlock(:key)"), {"key": LOCK})
            restore = text("select set_config('statement_timeout', :usual, false)")
            await connection.execute(restore, {"usual": usual})
            await connection.commit()


async def _lock(connection: AsyncConnection) -> None:
    """Wait for who migrates, without a transaction that the building of an index would wait for."""
    query = text("select pg_try_advisory_lock(:key)")
    while not await connection.scalar(query, {"key": LOCK}):
        await connection.rollback()
        await asyncio.sleep(_LOOK_AGAIN)
    await connection.commit()


async def missing_indexes(engine: AsyncEngine) -> list[str]:
    """Return the names of the indexes that partitions lack of their parents'."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_MISSING_INDEXES)).mappings().all()
    return [_name(row) for row in rows]


def _name(row: RowMapping) -> str:
    """Return what the index of a partition is called."""
    name: str = row["index"].replace(row["parent"], row["partition"], 1)
    return name


async def _build_indexes(connection: AsyncConnection) -> None:
    """Build and attach the indexes that partitions lack of their parents', one at a time."""
    missing = (await connection.execute(_MISSING_INDEXES)).mappings().all()
    await connection.commit()
    if not missing:
        return
    session = (await connection.get_raw_connection()).driver_connection  # asyncpg: no transaction
    assert session is not None  # noqa: S101 - the connection is open
    for row in missing:
        name = _name(row)
        await session.execute(f'drop index concurrently if exists "{name}"')
        await session.execute(
            row["definition"]
            .replace(
                f"CREATE INDEX {row['index']} ON ONLY", f'CREATE INDEX CONCURRENTLY "{name}" ON', 1
            )
            .replace(f".{row['parent']} ", f".{row['partition']} ", 1)
        )
        await session.execute(f'alter index "{row["index"]}" attach partition "{name}"')
        _LOG.info("database.index_built", index=name)


async def migrate_at(dsn: str) -> None:
    """Upgrade the schema at an address, over a connection that waits as long as it takes."""
    engine = connections.engine(dsn, pool_size=1, patient=True)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()


async def is_current(engine: AsyncEngine) -> bool:
    """Tell whether the schema is exactly this version's; readiness asks this."""
    async with engine.connect() as connection:
        return await connection.run_sync(current_revision) == newest_revision()


def newest_revision() -> str:
    """Return the id of the newest migration that this package brings."""
    return max(path.name.partition("_")[0] for path in _scripts().glob("versions/*_*.py"))


def belongs_to_models(
    _item: SchemaItem,
    name: str | None,
    kind: str,
    _reflected: bool,  # noqa: FBT001 - Alembic calls it with positions
    _other: SchemaItem | None,
) -> bool:
    """Tell Alembic which tables to compare with the models: all but the days' partitions."""
    return not (kind == "table" and name is not None and is_partition(name))


def alembic_config(connection: Connection | None = None) -> "Config":
    """Return Alembic's configuration for the migrations of this checkout or wheel."""
    from alembic.config import Config  # noqa: PLC0415 - 150 ms that a current database never needs

    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _scripts() -> Path:
    """Find the migrations: in a wheel inside the package, in a checkout at its top."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "migrations"
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "migrations"


def _run(connection: Connection, target: str) -> None:
    current = current_revision(connection)
    newest = newest_revision()
    if target == "head" and current == newest:
        return
    if current is not None and current > newest:
        raise ConfigurationError(
            f"The database is at migration {current}, newer than this Hookline's {newest}. "
            "Start the newer version, or restore a backup from before its start."
        )
    from alembic import command  # noqa: PLC0415 - 150 ms that a current database never needs

    config = alembic_config(connection)
    if target == "head" or (target != "base" and (current or "") < target):
        command.upgrade(config, target)
    else:
        command.downgrade(config, target)
    _LOG.info("database.migrated", before=current, after=current_revision(connection))
