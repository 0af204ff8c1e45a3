"""Migrated databases for tests, each a copy of one template."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from hookline.db import connections
from hookline.db.migrate import migrate
from support.postgres_clients import connection

UNUSUAL = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere",
    "statement_timeout": "'50ms'",  # our own SET, the first statement, is still under it
    "lock_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'1ms'",
    "idle_session_timeout": "'5s'",
    "synchronous_commit": "off",
    "timezone": "'Asia/Tokyo'",
    "datestyle": "'German, DMY'",
    "intervalstyle": "'sql_standard'",
    "bytea_output": "escape",
    "array_nulls": "off",
    "jit": "on",
    "row_security": "off",
    "transform_null_equals": "on",
    "enable_indexscan": "off",
    "enable_partition_pruning": "off",
    "client_min_messages": "debug1",
}
"""What operators, providers and other programs set on databases and roles."""


class Databases:
    """Makes and drops databases of one server."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._template: str | None = None

    async def make(self, *, template: str = "template0") -> str:
        """Make a database and return its address."""
        name = f"hookline_test_{secrets.token_hex(6)}"
        async with connection(self._dsn) as client:
            await client.execute(f"create database {name} template {template}")
        return self._address(name)

    async def drop(self, dsn: str) -> None:
        """Drop a database, whoever is still connected."""
        async with connection(self._dsn) as client:
            try:
                await client.execute(f"drop database {_name(dsn)} with (force)")
            except asyncpg.InsufficientPrivilegeError:
                # The server itself vacuums there, which only a plain drop may end.
                await client.execute(f"drop database {_name(dsn)}")

    @asynccontextmanager
    async def migrated(self) -> AsyncIterator[str]:
        """Give the address of a fresh, migrated database, and drop it afterwards."""
        if self._template is None:
            self._template = await self._make_template()
        dsn = await self.make(template=_name(self._template))
        try:
            yield dsn
        finally:
            await self.drop(dsn)

    @asynccontextmanager
    async def unusual(self) -> AsyncIterator[str]:
        """Give a migrated database that sets for its sessions what none of ours relies on."""
        async with self.migrated() as dsn:
            async with connection(dsn) as client:
                for name, value in UNUSUAL.items():
                    await client.execute(f"alter database {_name(dsn)} set {name} = {value}")
            yield dsn

    async def aclose(self) -> None:
        """Drop the template."""
        if self._template is not None:
            await self.drop(self._template)

    async def _make_template(self) -> str:
        dsn = await self.make()
        engine = connections.engine(dsn, pool_size=1)
        await migrate(engine)
        await engine.dispose()
        return dsn

    def _address(self, name: str) -> str:
        return urlunsplit(urlsplit(self._dsn)._replace(path=f"/{name}"))


def _name(dsn: str) -> str:
    return urlsplit(dsn).path.removeprefix("/")
