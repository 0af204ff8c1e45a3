"""Inspects a database: what keeps Hookline from using it, and its facts and figures."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.address import parse
from hookline.db.connections import connect
from hookline.db.errors import unavailable_when_away
from hookline.db.partitions import days_between
from hookline.db.statements import statement
from hookline.errors import ConfigurationError
from hookline.logs import get_logger

OLDEST_SERVER = 15  # the oldest Postgres that Hookline is tested against
_ENCODING = "UTF8"
_ROUND_TRIPS = 3
_FAULTS = text(statement("db/faults"))
_FACTS = text(statement("db/facts"))
_MARK = "select current_setting('hookline.session', true)"
_LOG = get_logger(__name__)


async def check_server(dsn: str, engine: AsyncEngine) -> None:
    """See that the server is one that Hookline can work with; ConfigurationError says why not."""
    await refuse_shared_sessions(dsn)
    if parse(dsn).binds_channel:
        _LOG.warning("database.channel_not_bound", hint="sslmode=verify-full proves who answers")
    async with engine.connect() as connection:
        await check_session(connection)


async def check_session(connection: AsyncConnection) -> None:
    """Look at version, encoding and rights, over a session that is there already."""
    for _, fault in await faults(connection):
        raise ConfigurationError(fault)


async def refuse_shared_sessions(dsn: str) -> None:
    """See that a session is ours alone: a pooler in transaction mode hands it on at each commit.

    Then what one session was given is found in another, or is missing in the first while the other
    holds a transaction open. Nothing is prepared by name: there, that fails by itself.
    """
    one = await connect(dsn, statement_cache_size=0)
    try:
        other = await connect(dsn, statement_cache_size=0)
        try:
            mark = secrets.token_hex(8)
            await one.execute(f"select set_config('hookline.session', '{mark}', false)")
            for session, expected in ((other, False), (one, True)):
                await session.execute("begin")
                if (await session.fetchval(_MARK) == mark) is not expected:
                    raise ConfigurationError(
                        "HOOKLINE_DATABASE_URL leads through a pooler in transaction mode, where"
                        " locks and notifications do not last: connect directly, or set the pooler"
                        " to session mode (PgBouncer: pool_mode = session)."
                    )
        finally:
            other.terminate()
    finally:
        one.terminate()


async def faults(connection: AsyncConnection) -> Sequence[tuple[str, str]]:
    """Return what keeps Hookline from this database: each fault's kind, and a sentence of it.

    The kinds are `version`, `encoding` and `rights`.
    """
    found = (await connection.execute(_FAULTS)).one()
    await connection.rollback()
    return list(_faults(found))


@dataclass(frozen=True, slots=True)
class Days:
    """The days that events are kept of, each a partition; the newest are made ahead of time."""

    count: int
    oldest: date
    newest: date


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A database as it was a moment ago."""

    version: str
    encoding: str
    size: int  # bytes
    connections: int  # under the limit that leaves the fewest
    most_connections: int
    limited_by: str  # whose limit that is: server, database or role
    latency: float  # seconds of the quickest round trip of a few
    revision: str | None  # the migration that it is at
    days: Days | None


async def read_facts(engine: AsyncEngine) -> DatabaseFacts:
    """Ask a database for its facts. Raises Unavailable."""
    with unavailable_when_away():
        async with engine.connect() as connection:
            latency = min([await _round_trip(connection) for _ in range(_ROUND_TRIPS)])
            found = (await connection.execute(_FACTS)).one()
            revision = await connection.run_sync(current_revision)
    days = days_between(found.oldest, found.newest)
    return DatabaseFacts(
        version=found.version,
        encoding=found.encoding,
        size=found.bytes,
        connections=found.connections,
        most_connections=int(found.most_connections),
        limited_by=found.limited_by,
        latency=latency,
        revision=revision,
        days=None if days is None else Days(found.kept, *days),
    )


async def _round_trip(connection: AsyncConnection) -> float:
    began = perf_counter()
    await connection.execute(text("select 1"))
    return perf_counter() - began


def current_revision(connection: Connection) -> str | None:
    """Return the migration that a database is at; None where there is none yet."""
    if connection.execute(text("select to_regclass('alembic_version')")).scalar() is None:
        return None
    revision: str | None = connection.execute(
        text("select version_num from alembic_version")
    ).scalar()
    return revision


def _faults(found: Row[Any]) -> Iterator[tuple[str, str]]:  # Any: its columns, above
    if fault := version_fault(found.number, found.version):
        yield "version", fault
    if found.encoding != _ENCODING:
        yield (
            "encoding",
            (
                f"The database is encoded in {found.encoding}, which cannot hold every event;"
                " Hookline needs one that was made with ENCODING 'UTF8'."
            ),
        )
    for fault in _missing_rights(found):
        yield "rights", fault


def _missing_rights(found: Row[Any]) -> Iterator[str]:  # Any: as above
    if found.standby:
        yield "HOOKLINE_DATABASE_URL leads to a read-only standby; Hookline needs the primary."
    elif found.read_only:
        yield "The database is read-only; Hookline needs to write to it."
    if found.schema is None:
        yield (
            f"The role {found.role} has no schema for Hookline's tables: its search_path names"
            " none that exists and that it may use."
        )
    elif found.owner is not None:
        yield (
            f"The role {found.role} does not own Hookline's tables, {found.owner} does, and"
            f" so it cannot keep the days' partitions: connect as {found.owner}, or make"
            f" {found.role} a member of it."
        )
    elif not found.may_create:
        yield (
            f"The role {found.role} may not create tables in the schema {found.schema}:"
            f" run `grant create on schema {found.schema} to {found.role}` as its owner, or"
            " make the role the owner of the database."
        )


def version_fault(number: int, version: str) -> str | None:
    """Return a sentence where the server is too old; `version` is what it calls itself."""
    if number // 10_000 >= OLDEST_SERVER:
        return None
    return (
        f"HOOKLINE_DATABASE_URL leads to PostgreSQL {version}; "
        f"Hookline needs PostgreSQL {OLDEST_SERVER} or newer."
    )
