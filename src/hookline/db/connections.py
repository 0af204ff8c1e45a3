"""Opens sessions in Postgres: SQLAlchemy's engine for records, asyncpg's pool for the queue.

Every session sets what it relies on, whatever database and role have set.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hookline.db.address import CONNECT_TIMEOUT, Address, parse
from hookline.db.errors import AWAY, LoginRefused, first_line
from hookline.db.statements import statement
from hookline.errors import ConfigurationError, Unavailable

_LATE = 1.0  # seconds after a statement's own end before its server is taken for gone
_PLANS_LAST = 60  # seconds; tables that were empty when a plan was made have filled by then
_SET_SESSION = statement("db/set_session")
_EVERYWHERE: Final = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "array_nulls": "on",
    "bytea_output": "hex",
    "client_min_messages": "warning",
    "constraint_exclusion": "partition",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "enable_indexonlyscan": "on",
    "enable_indexscan": "on",
    "enable_nestloop": "on",
    "enable_partition_pruning": "on",
    "idle_in_transaction_session_timeout": "30000",
    "idle_session_timeout": "0",
    "jit": "off",  # compiling a plan takes longer than running it
    "lock_timeout": "0",  # a statement's own timeout bounds its locks
    "row_security": "on",
    "search_path": '"$user", public',
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",  # what a 202 is worth
    "transaction_timeout": "0",
    "transform_null_equals": "off",
}
_BY_KEY: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""The queue's statements look rows up by key. A plan made while the tables were empty, or from
statistics of yesterday, must do so as well."""
_BY_VALUE: Final = {"plan_cache_mode": "force_custom_plan"}
"""The read side's statements name days: only a plan for these very values leaves the others out."""


async def connect(
    dsn: str,
    *,
    name: str = "hookline",
    statement_timeout: float = 10.0,
    answer_timeout: float | None = None,
    settings: dict[str, str] | None = None,
    **arguments: Any,  # noqa: ANN401 - asyncpg's own, which it ships no types for
) -> Any:  # noqa: ANN401 - as above
    """Open one session with Hookline's settings; all of Hookline's sessions come from here.

    Postgres ends a statement after `statement_timeout` seconds; one that says nothing for
    `answer_timeout` is given up. Raises ConfigurationError for a URL that cannot be read.
    """
    address = parse(dsn)
    opened = await _log_in(address, command_timeout=answer_timeout, **arguments)
    try:
        await _prepare(
            opened,
            name=address.application_name or name,
            statement_timeout=statement_timeout,
            more=settings or {},
        )
    except BaseException:
        opened.terminate()
        raise
    return opened


def engine(
    dsn: str, *, pool_size: int = 5, statement_timeout: float = 10.0, patient: bool = False
) -> AsyncEngine:
    """Return an engine over asyncpg for a `postgresql://` address; nothing is connected yet.

    Postgres ends a statement after `statement_timeout` seconds. A Postgres that says nothing at all
    is given up a second later, unless `patient`: a migration's statements may take minutes.
    """
    parse(dsn)

    async def connected() -> asyncpg.Connection:
        return await connect(
            dsn,
            statement_timeout=statement_timeout,
            answer_timeout=None if patient else statement_timeout + _LATE,
            settings=_BY_VALUE,
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connected,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
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

    async def connected(*_: object, **arguments: Any) -> asyncpg.Connection:  # noqa: ANN401 - the pool's own for asyncpg
        return await connect(
            dsn,
            statement_timeout=statement_timeout,
            answer_timeout=statement_timeout + _LATE,
            settings=_BY_KEY,
            max_cached_statement_lifetime=_PLANS_LAST,
            **arguments,
        )

    opened: asyncpg.Pool | None = None
    try:
        opened = await asyncpg.create_pool(
            min_size=1, max_size=size, connect=connected, reset=_nothing_to_reset
        )
    except LoginRefused:
        raise
    except AWAY as error:
        raise Unavailable("The database cannot be reached.") from error
    try:
        yield opened
    finally:
        try:
            await asyncio.wait_for(opened.close(), CONNECT_TIMEOUT)
        except AWAY:
            opened.terminate()


async def _log_in(
    address: Address,
    **arguments: Any,  # noqa: ANN401 - asyncpg's own
) -> Any:  # noqa: ANN401 - as above
    try:
        return await asyncpg.connect(
            address.dsn,
            timeout=address.connect_timeout,
            server_settings=address.startup,
            ssl=_tls(address) if address.system_authorities else None,
            **arguments,
        )
    except (ValueError, LookupError) as error:  # of what it reads, and of no server's answer
        raise ConfigurationError(
            "What HOOKLINE_DATABASE_URL or libpq's PG… variables say cannot be used"
            f" ({first_line(error)})."
        ) from error
    except asyncpg.PostgresError as error:
        if isinstance(error, AWAY):
            raise
        raise LoginRefused from error


async def _prepare(
    connection: Any,  # noqa: ANN401 - asyncpg ships no types
    *,
    name: str,
    statement_timeout: float,
    more: dict[str, str],
) -> None:
    """Give a new session its settings; `statement_timeout` in seconds, 0 for none.

    Not as startup parameters: PgBouncer refuses those by default.
    """
    milliseconds = str(int(statement_timeout * 1000))
    wanted = {
        **_EVERYWHERE,
        "application_name": name,
        "statement_timeout": milliseconds,
        **more,
    }
    values = ", ".join(f"({_literal(key)}, {_literal(value)})" for key, value in wanted.items())
    # The timeout first and by itself: one that the role has could end the other statement.
    await connection.execute(
        f"set statement_timeout = {milliseconds}; {_SET_SESSION.format(values=values)}"
    )


def _literal(text: str) -> str:
    """Quote a text so that it means the same whatever `standard_conforming_strings` is."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _tls(address: Address) -> ssl.SSLContext:
    """Trust the system's authorities, as `sslrootcert=system` asks; `verify-full` goes with it.

    Some authorities are not as strict in form as Python 3.13 and newer demand unasked.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if "sslcert" in address.files:
        context.load_cert_chain(address.files["sslcert"], address.files.get("sslkey"))
    return context


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Do nothing: the queue's statements leave a session as it was.

    asyncpg rolls back what is open even so; its default, four more statements in a round trip of
    their own, cost as much as the statement that they followed.
    """
