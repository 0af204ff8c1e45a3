"""`hookline doctor` on servers, databases and roles that really are not as they should be.

Each is named with a way to mend it; where that is one statement or command, it is done here, and
the same command finds the same thing well.
"""

import json
import re
import sys
from asyncio import create_subprocess_exec, subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from hookline.db import connections
from hookline.db.migrate import migrate
from hookline.db.partitions import of_days
from hookline.domain.ids import lowest_uuid
from hookline.queue.retention import PartitionKeeper
from hookline.security.secrets import generate_key
from support import clock, pgbouncer
from support.databases import Databases
from support.postgres_clients import connection
from support.terminal import Terminal

ENCRYPTION = generate_key()
RETENTION = 30  # the default
WAITS = """
insert into pending (id, event_id, integration_id, type, attempts, claims, once, due_at)
values ($1, $1, 'off123', 'call', 0, 0, false, now())
"""
DATABASES = {
    "doctor_latin": "encoding 'LATIN1'",
    "doctor_whole": "encoding 'UTF8'",
    "doctor_full": "encoding 'UTF8' connection limit 6",
}
OF_ANOTHER_VERSION = """
create function public.current_setting(name text) returns text language sql as $$
    select case
        when name = 'server_version_num' then '140011'
        when name = 'server_version' then '14.11'
        else pg_catalog.current_setting(name)
    end
$$
"""
FIRST = "&options=-c%20search_path%3Dpublic,pg_catalog"  # what public has hides the server's own

Findings = dict[str, dict[str, str | None]]


@pytest.fixture(scope="module")
async def server(oldest_postgres: str) -> AsyncIterator[str]:
    async with connection(oldest_postgres) as client:
        await client.execute("create role doctor_plain login; create role doctor_few login")
        for name, how in DATABASES.items():
            await client.execute(f"create database {name} template template0 {how}")
    yield oldest_postgres
    async with connection(oldest_postgres) as client:
        for name in DATABASES:
            await client.execute(f"drop database {name} with (force)")
        await client.execute("drop role doctor_plain; drop role doctor_few")


def at(dsn: str, database: str, *, user: str = "hookline", more: str = "") -> str:
    address = urlsplit(dsn)
    query = address.query + more
    return urlunsplit(address._replace(netloc=f"{user}@", path=f"/{database}", query=query))


async def examined(terminal: Terminal, url: str, code: int = 1) -> Findings:
    """Run the command, which must end with this code, and return what it found, by name."""
    settings = {"DATABASE_URL": url, "ENCRYPTION_KEYS": ENCRYPTION}
    ended, out, err = await terminal.run("doctor", "--json", **settings)
    assert (ended, err) == (code, "")
    return read(out)


def read(out: str) -> Findings:
    told = json.loads(out)
    assert told["ok"] is all(each["status"] != "failed" for each in told["checks"])
    for each in told["checks"]:  # whatever is not well has its way to mend
        assert (each["advice"] is None) is (each["status"] == "ok"), each
    return {each["name"]: each for each in told["checks"]}


async def test_an_encoding_that_cannot_hold_every_event(terminal: Terminal, server: str) -> None:
    told = (await examined(terminal, at(server, "doctor_latin")))["encoding"]
    assert told["status"] == "failed"
    assert "LATIN1" in str(told["detail"])
    assert "ENCODING 'UTF8'" in str(told["advice"])


async def test_a_role_without_rights_and_the_grant_that_mends_it(
    terminal: Terminal, server: str
) -> None:
    url = at(server, "doctor_whole", user="doctor_plain")
    told = (await examined(terminal, url))["rights"]
    grant = "grant create on schema public to doctor_plain"
    assert told["status"] == "failed"
    assert f"run `{grant}`" in str(told["detail"])
    async with connection(at(server, "doctor_whole")) as owner:
        await owner.execute(grant)
        assert (await examined(terminal, url))["rights"]["status"] == "ok"
        await owner.execute("revoke create on schema public from doctor_plain")


async def test_a_server_that_is_too_old(terminal: Terminal, server: str) -> None:
    async with connection(at(server, "doctor_whole")) as client:
        await client.execute(OF_ANOTHER_VERSION)
        told = await examined(terminal, at(server, "doctor_whole", more=FIRST))
        await client.execute("drop function public.current_setting")
    assert told["version"]["status"] == "failed"
    assert "PostgreSQL 14.11" in str(told["version"]["detail"])
    assert told["version"]["advice"] == "upgrade PostgreSQL."


async def test_an_older_schema_and_the_command_that_mends_it(
    terminal: Terminal, databases: Databases
) -> None:
    async with databases.migrated() as url:
        engine = connections.engine(url, pool_size=1)
        await migrate(engine, "0020")
        await engine.dispose()
        told = (await examined(terminal, url))["migrations"]
        assert told["status"] == "failed"
        assert "is at 0020" in str(told["detail"])
        assert told["advice"] == "run `hookline migrate`."
        code, _, err = await terminal.run("migrate", DATABASE_URL=url, ENCRYPTION_KEYS=ENCRYPTION)
        assert (code, err) == (0, "")
        assert (await examined(terminal, url, code=0))["migrations"]["status"] == "ok"


async def test_indexes_that_an_interrupted_migration_left_out(
    terminal: Terminal, databases: Databases
) -> None:
    async with databases.migrated() as url, connection(url) as client:
        [today] = [each for each in of_days([datetime.now(UTC).date()]) if each.table == "events"]
        await client.execute(today.create())
        await client.execute("drop index events_subject_id_idx")
        await client.execute("create index events_subject_id_idx on only events (subject, id)")
        told = (await examined(terminal, url, code=0))["indexes"]
        assert told["status"] == "warning"
        assert f"{today.name}_subject_id_idx" in str(told["detail"])
        assert "run `hookline migrate`" in str(told["advice"])
        await terminal.run("migrate", DATABASE_URL=url, ENCRYPTION_KEYS=ENCRYPTION)
        assert (await examined(terminal, url, code=0))["indexes"]["status"] == "ok"


async def test_days_that_are_missing_and_the_start_that_makes_them(
    terminal: Terminal, databases: Databases
) -> None:
    async with databases.migrated() as url, connections.pool(url) as pool:
        told = (await examined(terminal, url, code=0))["partitions"]
        assert told["status"] == "warning"
        assert "are missing" in str(told["detail"])
        assert "a start makes them" in str(told["advice"])
        await a_keeper(pool).make()
        assert (await examined(terminal, url, code=0))["partitions"]["status"] == "ok"


async def test_days_past_retention_and_what_keeps_them(
    terminal: Terminal, databases: Databases
) -> None:
    """What waits is named; once that has ended, a round of the service drops the day."""
    async with databases.migrated() as url, connections.pool(url) as pool:
        keeper = a_keeper(pool)
        await keeper.make()
        past = datetime.now(UTC) - timedelta(days=RETENTION + 5)
        for partition in of_days([past.date()]):
            await pool.execute(partition.create())
        await pool.execute(WAITS, lowest_uuid(past))
        await keeper.keep()
        told = (await examined(terminal, url, code=0))["partitions"]
        assert told["status"] == "warning"
        assert f"{past:%Y-%m-%d} is past RETENTION_DAYS" in str(told["detail"])
        assert str(told["detail"]).endswith("still wait, for off123")
        assert str(told["advice"]).startswith("enable these integrations, or delete them")

        await pool.execute("delete from pending")
        told = (await examined(terminal, url, code=0))["partitions"]
        assert told["status"] == "warning"
        assert str(told["detail"]).endswith("and nothing of it waits")
        assert "partition.in_use" in str(told["advice"])

        await keeper.keep()
        assert (await examined(terminal, url, code=0))["partitions"]["status"] == "ok"


def a_keeper(pool: asyncpg.Pool) -> PartitionKeeper:
    return PartitionKeeper(pool, retention_days=RETENTION, duplicate_window=timedelta(hours=48))


async def test_limits_of_connections_that_are_near_and_that_are_reached(
    terminal: Terminal, server: str
) -> None:
    url = at(server, "doctor_full", user="doctor_plain")  # limits do not bind superusers
    async with AsyncExitStack() as held:
        await held.enter_async_context(connection(url))
        near = (await examined(terminal, url))["connections"]
        assert near["status"] == "warning"
        assert "of 6 are in use" in str(near["detail"])
        assert "the database's limit" in str(near["advice"])
        for _ in range(5):
            await held.enter_async_context(connection(url))
        reached = (await examined(terminal, url))["database"]
        assert reached["status"] == "failed"
        assert "too many connections" in str(reached["detail"])
        assert "pg_stat_activity" in str(reached["advice"])


async def test_a_limit_of_the_role(terminal: Terminal, server: str) -> None:
    async with connection(server) as client:
        await client.execute("alter role doctor_few connection limit 8")
    url = at(server, "doctor_whole", user="doctor_few")
    told = (await examined(terminal, url))["connections"]
    assert told["status"] == "warning"
    assert "of 8 are in use" in str(told["detail"])
    assert "the role's limit" in str(told["advice"])


@pytest.mark.parametrize(
    ("database", "user", "advice"),
    [("doctor_none", "hookline", "create the database"), ("doctor_whole", "who", "the user")],
)
async def test_a_database_or_a_role_that_does_not_exist(
    terminal: Terminal, server: str, database: str, user: str, advice: str
) -> None:
    told = (await examined(terminal, at(server, database, user=user)))["database"]
    assert told["status"] == "failed"
    assert "does not exist" in str(told["detail"])
    assert advice in str(told["advice"])


async def test_a_pooler_that_shares_sessions(
    terminal: Terminal, pooler: Path, migrated_on_oldest: str
) -> None:
    with pgbouncer.pooling(pooler, migrated_on_oldest, "transaction") as shared:
        told = (await examined(terminal, shared))["sessions"]
    assert told["status"] == "failed"
    assert "a pooler in transaction mode" in str(told["detail"])
    assert told["advice"] == "connect directly, or in session mode."


async def test_a_machine_with_few_file_descriptors_and_a_wrong_clock(
    terminal: Terminal, databases: Databases, tmp_path: Path
) -> None:
    library = clock.find_library()
    stepped = clock.SteppedClock(tmp_path, library) if library else None
    if stepped:
        stepped.step(hours=1)
    limited = f"ulimit -Sn 900; ulimit -Hn 1000; exec {sys.executable} -m hookline doctor --json"
    async with databases.migrated() as url:
        settings = {"HOOKLINE_DATABASE_URL": url, "HOOKLINE_ENCRYPTION_KEYS": ENCRYPTION}
        process = await create_subprocess_exec(
            *("sh", "-c", limited),
            cwd=terminal.directory,
            env=settings | dict(stepped.environment if stepped else {}),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
    told = read(out.decode())
    assert told["file descriptors"]["status"] == "warning"
    assert "may open 1,000" in str(told["file descriptors"]["detail"])
    assert "LimitNOFILE=" in str(told["file descriptors"]["advice"])
    assert process.returncode == bool(stepped)
    if stepped:
        assert told["clock"]["status"] == "failed"
        assert re.search(r"are (3599|3600)\.\d s apart", str(told["clock"]["detail"]))
        assert "time daemon" in str(told["clock"]["advice"])
