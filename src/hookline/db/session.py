"""What every session of ours relies on, set after connecting, whatever database and role have set.

Not startup parameters: PgBouncer refuses those by default.
"""

from typing import Any, Final

_SET: Final = """
select pg_catalog.set_config(wanted.name, wanted.value, false)
from (values {values}) as wanted (name, value)
join pg_catalog.pg_settings as known on known.name = wanted.name
where not (known.name = 'search_path' and known.source = 'client')
    and not (known.name = 'synchronous_commit' and known.setting = 'remote_apply')
    and not (
        known.name = 'default_transaction_read_only'
        and known.source not in ('database', 'user', 'database user')
    )
"""
"""Left as they are: a `search_path` from the URL's `options`, commits that wait for a replica to
apply them, and a whole server that is read-only. What an older server does not have is left out."""

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
BY_KEY: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""The queue's statements look rows up by key. A plan made while the tables were empty, or from
statistics of yesterday, must do so as well."""
BY_VALUE: Final = {"plan_cache_mode": "force_custom_plan"}
"""The read side's statements name days: only a plan for these very values leaves the others out."""


async def prepare(
    connection: Any,  # noqa: ANN401 - asyncpg ships no types
    *,
    name: str,
    statement_timeout: float,
    more: dict[str, str],
) -> None:
    """Give a new session its settings; `statement_timeout` in seconds, 0 for none."""
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
        f"set statement_timeout = {milliseconds}; {_SET.format(values=values)}"
    )


def _literal(text: str) -> str:
    """Quote a text so that it means the same whatever `standard_conforming_strings` is."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
