import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import structlog

from hookline.db.embedded import EmbeddedPostgres, programs
from hookline.db.embedded.ownership import lives, read_pid_file, wait_until_dead
from hookline.db.embedded.permissions import owner_of
from support.embedded_owner import owner
from support.places import passable_folder
from support.postgres_clients import ask, ask_until_answered, connection

_CUT_OFF = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def data(place: Path) -> Path:
    return place / "data/postgres/data"


@pytest.fixture
async def postgres(place: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    yield server
    await server.stop()


def postmaster(data: Path) -> psutil.Process:
    written = read_pid_file(data)
    assert written is not None
    return psutil.Process(written.pid)


def servers_in(data: Path) -> list[psutil.Process]:
    found = [p for p in psutil.process_iter(["name", "cwd"]) if p.info["cwd"] == str(data)]
    return [process for process in found if process.info["name"] == "postgres"]


async def test_a_killed_server_is_started_again_and_the_address_stays(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    await ask(dsn, "create table survived as select 42 as answer")
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            former = postmaster(data)
            former.kill()
            assert await asyncio.to_thread(wait_until_dead, [former], within_s=10) == []
            assert await ask_until_answered(dsn, "select answer from survived") == 42
            assert postmaster(data) != former
    events = [line["event"] for line in lines if line["log_level"] != "info"]
    assert events.count("embedded_postgres.died") == 2
    assert events.count("embedded_postgres.started_again") == 2


async def test_a_killed_server_whose_session_is_at_work_is_started_again(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    async with connection(dsn) as client:
        endless = "select count(*) from generate_series(1, 1000000000000)"
        working = asyncio.create_task(client.fetchval(endless))
        session = "select 1 / count(*) from pg_stat_activity where query = $1"
        await ask_until_answered(dsn, session, endless)
        postmaster(data).kill()
        with pytest.raises(_CUT_OFF):
            await working
        assert await ask_until_answered(dsn, "select 1") == 1


async def test_every_process_of_the_server_may_be_killed_at_once(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    processes = servers_in(data)
    assert len(processes) > 3
    for process in processes:
        process.kill()
    await asyncio.to_thread(wait_until_dead, processes, within_s=10)
    assert await ask_until_answered(dsn, "select 1") == 1


async def test_a_killed_session_takes_nothing_with_it(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    before = postmaster(data)
    async with connection(dsn) as client:
        os.kill(await client.fetchval("select pg_backend_pid()"), signal.SIGKILL)
        with pytest.raises(_CUT_OFF):
            await client.fetchval("select pg_sleep(10)")
    assert await ask_until_answered(dsn, "select 1") == 1
    assert postmaster(data) == before


async def test_a_stop_right_after_the_server_died_ends_everything(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    await postgres.start()
    postmaster(data).kill()
    await postgres.stop()
    assert await ask(await postgres.start(), "select 1") == 1


async def test_a_server_ends_with_its_killed_owner_and_keeps_what_was_committed(
    postgres: EmbeddedPostgres, place: Path, data: Path
) -> None:
    async with owner(place / "data", place / "system_dir") as first:
        await ask(first.dsn, "create table committed as select 7 as answer")
        left = servers_in(data)
        await first.kill()
        if sys.platform == "linux":
            alive = await asyncio.to_thread(wait_until_dead, left, within_s=20)
            assert alive == []
    assert await ask(await postgres.start(), "select answer from committed") == 7


async def test_a_start_right_after_the_owner_was_killed_finds_one_server_only(
    postgres: EmbeddedPostgres, place: Path, data: Path
) -> None:
    async with owner(place / "data", place / "system_dir") as first:
        former, left = postmaster(data), servers_in(data)
        await first.kill()
        assert await ask(await postgres.start(), "select 1") == 1
    assert postmaster(data) != former
    assert not lives(former)
    alive = await asyncio.to_thread(wait_until_dead, left, within_s=10)
    assert alive == []


async def test_an_orphaned_server_is_stopped_before_another_starts(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    dsn = await postgres.start()
    await postgres.stop()
    await start_orphan(data)
    await ask_until_answered(dsn, "select 1")
    orphan = postmaster(data)
    with structlog.testing.capture_logs() as lines:
        assert await postgres.start() == dsn
    assert not lives(orphan)
    assert "embedded_postgres.orphans_ended" in [line["event"] for line in lines]
    assert await ask(dsn, "select 1") == 1


async def start_orphan(data: Path) -> None:
    """Start a server that no supervisor knows of, and whose parent is gone."""
    identity = owner_of(data)
    binaries = programs.reachable(identity, data.parents[2] / "system_dir")
    shell = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", '"$@" 2> /dev/null &', "sh"),
        *(binaries.postgres, "-D", data),
        *("-c", f"config_file={data.parent / 'postgresql.conf'}"),
        user=identity.uid,
        group=identity.gid,
        extra_groups=[],
    )
    assert await shell.wait() == 0


async def test_a_stale_pid_file_and_stale_sockets_are_no_obstacle(
    postgres: EmbeddedPostgres, data: Path
) -> None:
    await postgres.start()
    await postgres.stop()
    run = data.parent / "run"
    stale = f"{os.getpid()}\n{data}\n1795468128\n5432\n{run}\n\n 10003271 19\nready   \n"
    (data / "postmaster.pid").write_text(stale)  # the number has gone to another program: us
    (run / ".s.PGSQL.5432.lock").write_text(stale)
    with socket.socket(socket.AF_UNIX) as leftover:  # its file stays when it closes
        leftover.bind(str(run / ".s.PGSQL.5432"))
    assert await ask(await postgres.start(), "select 1") == 1
