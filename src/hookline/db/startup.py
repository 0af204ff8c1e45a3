"""What a start needs of its database, and the sentence that says what is in the way.

Every command that opens a database does so inside `explained`, and none of them ends in a
traceback for what an operator can put right.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.address import parse
from hookline.db.connections import connect
from hookline.errors import ConfigurationError
from hookline.logs import get_logger

OLDEST_SERVER = 15  # the oldest Postgres that Hookline is tested against
_ENCODING = "UTF8"
_LOOK = text(
    """
    select
        current_setting('server_version_num')::int as number,
        current_setting('server_version') as version,
        current_setting('server_encoding') as encoding,
        pg_is_in_recovery() as standby,
        current_setting('transaction_read_only')::bool as read_only,
        current_user as role,
        current_schema() as schema,
        coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
        (
            select pg_get_userbyid(relowner) from pg_class
            where oid = to_regclass('events') and not pg_has_role(relowner, 'usage')
        ) as owner
    """
)

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


async def faults(connection: AsyncConnection) -> Sequence[tuple[str, str]]:
    """Return what keeps Hookline from this database: each fault's kind, and a sentence of it.

    The kinds are `version`, `encoding` and `rights`.
    """
    found = (await connection.execute(_LOOK)).one()
    await connection.rollback()
    return list(_faults(found))


def _faults(found: Row[Any]) -> Iterator[tuple[str, str]]:  # Any: its columns, above
    if found.number // 10_000 < OLDEST_SERVER:
        yield "version", _too_old(found.version)
    if found.encoding != _ENCODING:
        yield (
            "encoding",
            (
                f"The database is encoded in {found.encoding}, which cannot hold every event;"
                " Hookline needs one that was made with ENCODING 'UTF8'."
            ),
        )
    if found.standby:
        yield (
            "rights",
            "HOOKLINE_DATABASE_URL leads to a read-only standby; Hookline needs the primary.",
        )
    elif found.read_only:
        yield "rights", "The database is read-only; Hookline needs to write to it."
    if found.schema is None:
        yield (
            "rights",
            (
                f"The role {found.role} has no schema for Hookline's tables: its search_path names"
                " none that exists and that it may use."
            ),
        )
    elif found.owner is not None:
        yield (
            "rights",
            (
                f"The role {found.role} does not own Hookline's tables, {found.owner} does, and"
                f" so it cannot keep the days' partitions: connect as {found.owner}, or make"
                f" {found.role} a member of it."
            ),
        )
    elif not found.may_create:
        yield (
            "rights",
            (
                f"The role {found.role} may not create tables in the schema {found.schema}:"
                f" run `grant create on schema {found.schema} to {found.role}` as its owner, or"
                " make the role the owner of the database."
            ),
        )


def refuse_an_old_server(number: int, version: str) -> None:
    """Raise ConfigurationError for a server of before Postgres 15, named as it names itself."""
    if number // 10_000 < OLDEST_SERVER:
        raise ConfigurationError(_too_old(version))


def _too_old(version: str) -> str:
    return (
        f"HOOKLINE_DATABASE_URL leads to PostgreSQL {version}; "
        f"Hookline needs PostgreSQL {OLDEST_SERVER} or newer."
    )


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
