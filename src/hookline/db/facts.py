"""What there is to know of a database: server, size, sessions, migration, days kept."""

from dataclasses import dataclass
from datetime import date
from time import perf_counter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.migrate import current_revision
from hookline.db.partitions import days_between

_FACTS = text(
    """
    select
        current_setting('server_version') as version,
        current_setting('server_encoding') as encoding,
        pg_database_size(current_database()) as bytes,
        current_setting('max_connections')::int as most_connections,
        (select count(*) from pg_stat_activity where datname = current_database()) as connections,
        days.kept,
        days.oldest,
        days.newest
    from (
        select count(*) as kept, min(child.relname) as oldest, max(child.relname) as newest
        from pg_inherits
        join pg_class as child on child.oid = pg_inherits.inhrelid
        where inhparent = to_regclass('events')
    ) as days
    """
)


@dataclass(frozen=True, slots=True)
class Days:
    """The days that events are kept of, each a partition; the newest are made ahead of time."""

    count: int
    oldest: date
    newest: date


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A database as it was a moment ago; `latency` is one round trip in seconds."""

    version: str
    encoding: str
    size: int  # bytes
    connections: int
    most_connections: int
    latency: float
    revision: str | None  # the migration that it is at
    days: Days | None


async def read_facts(engine: AsyncEngine) -> DatabaseFacts:
    """Ask a database for its facts. Raises Unavailable."""
    with unavailable_when_away():
        async with engine.connect() as connection:
            began = perf_counter()
            await connection.execute(text("select 1"))
            latency = perf_counter() - began
            found = (await connection.execute(_FACTS)).one()
            revision = await connection.run_sync(current_revision)
    days = days_between(found.oldest, found.newest)
    return DatabaseFacts(
        version=found.version,
        encoding=found.encoding,
        size=found.bytes,
        connections=found.connections,
        most_connections=found.most_connections,
        latency=latency,
        revision=revision,
        days=None if days is None else Days(found.kept, *days),
    )
