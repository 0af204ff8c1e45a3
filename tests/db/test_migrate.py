import asyncio
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db import connections
from hookline.db.inspection import version_fault
from hookline.db.migrate import LOCK, is_current, migrate, newest_revision
from hookline.db.partitions import Partition
from hookline.errors import ConfigurationError
from support.databases import Databases
from support.drift import differences
from support.postgres_clients import connection

CHECKOUT = Path(__file__).parents[2]
REVISIONS = sorted(
    path.name.partition("_")[0] for path in (CHECKOUT / "migrations/versions").glob("*_*.py")
)


@pytest.fixture
async def address(databases: Databases) -> AsyncIterator[str]:
    dsn = await databases.make()
    yield dsn
    await databases.drop(dsn)


@pytest.fixture
async def empty(address: str) -> AsyncIterator[AsyncEngine]:
    engine = connections.engine(address, pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture
async def migrated(databases: Databases) -> AsyncIterator[AsyncEngine]:
    async with databases.migrated() as dsn:
        engine = connections.engine(dsn, pool_size=2)
        yield engine
        await engine.dispose()


async def tables(engine: AsyncEngine) -> set[str]:
    def named(opened: Connection) -> set[str]:
        return set(inspect(opened).get_table_names())

    async with engine.connect() as opened:
        return await opened.run_sync(named)


async def ask(engine: AsyncEngine, query: str) -> object:
    async with engine.connect() as opened:
        return (await opened.execute(text(query))).scalar()


async def test_a_fresh_database_is_brought_to_the_models(empty: AsyncEngine) -> None:
    assert not await is_current(empty)
    await migrate(empty)
    assert await is_current(empty)
    assert await differences(empty) is None


async def test_migrating_again_changes_nothing(migrated: AsyncEngine) -> None:
    await migrate(migrated)
    assert await ask(migrated, "select value from revision") == 1


async def test_a_missing_column_is_drift(migrated: AsyncEngine) -> None:
    async with migrated.begin() as opened:
        await opened.execute(text("alter table integrations drop column max_in_flight"))
    found = await differences(migrated)
    assert found is not None
    assert "max_in_flight" in found


async def test_every_revision_goes_down_and_up_again(empty: AsyncEngine) -> None:
    before, without_it = "base", {"alembic_version"}
    for revision in REVISIONS:
        await migrate(empty, revision)
        with_it = await tables(empty)
        await migrate(empty, before)
        assert await tables(empty) == without_it, revision
        await migrate(empty, revision)
        assert await tables(empty) == with_it, revision
        before, without_it = revision, with_it
    assert await differences(empty) is None


async def test_many_processes_may_start_at_once(address: str) -> None:
    engines = [connections.engine(address, pool_size=1) for _ in range(4)]
    await asyncio.gather(*(migrate(engine) for engine in engines))
    assert await ask(engines[0], "select count(*) from alembic_version") == 1
    for engine in engines:
        await engine.dispose()


async def test_waiting_for_another_to_migrate_may_outlast_a_statement(address: str) -> None:
    patient = connections.engine(address, pool_size=1, statement_timeout=2.0, patient=True)
    waits = (
        "select true from pg_stat_activity where pid <> pg_backend_pid()"
        " and datname = current_database() and now() - backend_start > interval '2.2 s'"
    )
    async with connection(address) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        waiting = asyncio.create_task(migrate(patient))
        async with asyncio.timeout(20):
            while not await other.fetchval(waits):
                assert not waiting.done()
        await other.execute("select pg_advisory_unlock($1)", LOCK)
        await waiting
    assert await is_current(patient)
    assert await ask(patient, "show statement_timeout") == "2s"
    await patient.dispose()


async def test_indexes_of_days_are_built_while_others_write(empty: AsyncEngine) -> None:
    await migrate(empty, "0025")
    day = Partition("events", date(2026, 1, 31))
    event = text(
        "insert into events (id, company, type, subject, time, payload, splice)"
        " values (:id, 'c', 't', 's', 1, '', 1)"
    ).bindparams(id=day.bounds[0])
    invalid = "select count(*) from pg_index where not indisvalid"
    half_built = f"create index {day.name}_subject_id_idx on {day.name} (id)"  # by who died of it
    async with empty.begin() as opened:
        for statement in (*filter(None, day.create().split(";")), half_built):
            await opened.execute(text(statement))
    async with empty.connect() as writer:
        await writer.execute(event)
        upgrading = asyncio.create_task(migrate(empty))
        async with asyncio.timeout(20):
            while not await ask(empty, "select to_regclass('events_subject_id_idx')"):
                assert not upgrading.done()
                await writer.rollback()
                await asyncio.sleep(0)
        await writer.execute(event)
        await writer.commit()
        await upgrading
    assert await ask(empty, invalid) == 0
    built = f"select pg_get_indexdef('{day.name}_subject_id_idx'::regclass)"
    assert str(await ask(empty, built)).endswith("(subject, id)")
    assert await differences(empty) is None


async def test_a_database_that_a_newer_version_migrated_is_refused(migrated: AsyncEngine) -> None:
    async with migrated.begin() as opened:
        await opened.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"9999, newer than .* Start the newer version"):
        await migrate(migrated)
    assert not await is_current(migrated)


def test_a_server_that_is_too_old_is_refused_by_name() -> None:
    assert version_fault(150000, "15.0") is None
    assert version_fault(140019, "14.19 (Debian 14.19-1)") == (
        "HOOKLINE_DATABASE_URL leads to PostgreSQL 14.19 (Debian 14.19-1);"
        " Hookline needs PostgreSQL 15 or newer."
    )


def test_the_migrations_travel_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    migrations = tmp_path / "site" / "hookline" / "migrations"
    assert (migrations / "env.py").exists()
    assert (tmp_path / "site/hookline/queue/sql/append.sql").exists()
    says = "from hookline.db import migrate; print(migrate.newest_revision(), migrate._scripts())"
    run = subprocess.run(
        [sys.executable, "-c", says],
        cwd=tmp_path / "site",
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path / "site")},
    )
    assert run.stdout.split() == [newest_revision(), str(migrations)]
