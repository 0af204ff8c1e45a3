import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from hookline.db.embedded import EmbeddedPostgres, attach_or_start, running_dsn
from support.places import passable_folder
from support.postgres_clients import ask, connection


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def data_dir(place: Path) -> Path:
    """One data directory for all: each test starts the server anew, on what the last one left."""
    return place / "data"


@pytest.fixture
def postgres(place: Path, data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, system_dir=place / "system_dir")


async def test_what_was_written_is_there_after_a_stop_and_a_start(
    postgres: EmbeddedPostgres,
) -> None:
    dsn = await postgres.start()
    await ask(dsn, "create table kept as select 'Grüße, 你好' as words")
    await postgres.stop()
    assert await postgres.start() == dsn
    assert await ask(dsn, "select words from kept") == "Grüße, 你好"
    await postgres.stop()


async def test_after_a_stop_no_process_and_no_socket_is_left(
    postgres: EmbeddedPostgres, data_dir: Path
) -> None:
    dsn = await postgres.start()
    await postgres.stop()
    assert not (data_dir / "postgres/data/postmaster.pid").exists()
    assert list((data_dir / "postgres/run").iterdir()) == []
    assert running_dsn(data_dir) is None
    with pytest.raises(FileNotFoundError):
        await ask(dsn, "select 1")


async def test_its_role_makes_databases_and_is_no_superuser(postgres: EmbeddedPostgres) -> None:
    dsn = await postgres.start()
    await ask(dsn, "create database another")
    await ask(dsn, "drop database another")
    assert not await ask(dsn, "select rolsuper from pg_roles where rolname = current_user")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(dsn, "select pg_read_file('/etc/passwd')")
    await postgres.stop()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("timezone", "UTC"),
        ("server_encoding", "UTF8"),
        ("max_wal_size", "2GB"),
        ("jit", "off"),
    ],
)
async def test_a_running_server_is_safe_and_small(running: str, setting: str, value: str) -> None:
    assert await ask(running, "select current_setting($1)", setting) == value


async def test_text_sorts_alike_on_every_machine(running: str) -> None:
    provider = "select datlocprovider::text || datlocale from pg_database where datname = $1"
    assert await ask(running, provider, "hookline") == "bC.UTF-8"


@pytest.fixture(scope="module")
async def running(place: Path) -> AsyncIterator[str]:
    server = EmbeddedPostgres(place / "running", system_dir=place / "system_dir")
    yield await server.start()
    await server.stop()


async def test_sqlalchemy_takes_the_same_address(running: str) -> None:
    engine = create_async_engine(running.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as client:
        assert await client.scalar(text("select current_user")) == "hookline"
    await engine.dispose()


async def test_nobody_gets_in_without_the_password_or_as_another_role(running: str) -> None:
    password = running.split(":")[2].split("@", maxsplit=1)[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(running.replace(password, "guessed"), "select 1")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="rejects"):
        await ask(running.replace("//hookline:", "//postgres:"), "select 1")


async def test_the_caller_may_change_settings(place: Path, data_dir: Path) -> None:
    settings = {"max_connections": "7", "application_name": "it's"}
    postgres = EmbeddedPostgres(data_dir, settings=settings, system_dir=place / "system_dir")
    dsn = await postgres.start()
    assert await ask(dsn, "select current_setting('max_connections')") == "7"
    await postgres.stop()


async def test_a_start_that_is_cancelled_leaves_the_directory_free(
    place: Path, data_dir: Path
) -> None:
    postgres = EmbeddedPostgres(data_dir, system_dir=place / "system_dir")
    for turns in (1, 4, 16):  # cancelled while it prepares, launches, waits
        start = asyncio.create_task(postgres.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
    await postgres.start()
    await postgres.stop()


async def test_a_command_uses_the_server_that_runs(running: str, place: Path) -> None:
    async with attach_or_start(place / "running", system_dir=place / "system_dir") as dsn:
        assert dsn == running
    assert await ask(running, "select 1") == 1


async def test_a_command_starts_its_own_server_and_stops_it(place: Path, data_dir: Path) -> None:
    async with attach_or_start(data_dir, system_dir=place / "system_dir") as dsn:
        assert await ask(dsn, "select 1") == 1
        assert running_dsn(data_dir) == dsn
    assert running_dsn(data_dir) is None


async def test_a_service_waits_for_a_command_to_end(
    postgres: EmbeddedPostgres, place: Path, data_dir: Path
) -> None:
    async with attach_or_start(data_dir, system_dir=place / "system_dir") as dsn:
        starting = asyncio.create_task(postgres.start())
        assert await ask(dsn, "select 1") == 1
        assert not starting.done()
    assert await starting == dsn
    await postgres.stop()


async def test_a_command_waits_for_a_service_that_is_starting(
    postgres: EmbeddedPostgres, place: Path, data_dir: Path
) -> None:
    async def command() -> int:
        async with attach_or_start(data_dir, system_dir=place / "system_dir") as dsn:
            return int(await ask(dsn, "select 1"))

    starting = asyncio.create_task(postgres.start())
    await asyncio.sleep(0)  # the service goes first
    assert list(await asyncio.gather(command(), command())) == [1, 1]
    await starting
    await postgres.stop()


async def test_stopping_cuts_off_clients_that_are_still_there(
    postgres: EmbeddedPostgres,
) -> None:
    async with connection(await postgres.start()) as client:
        await postgres.stop()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await client.fetchval("select 1")


async def test_nothing_is_running_for_a_directory_that_does_not_exist(place: Path) -> None:
    assert running_dsn(place / "nowhere") is None
    assert not (place / "nowhere").exists()
