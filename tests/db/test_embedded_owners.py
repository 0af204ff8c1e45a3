import asyncio
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hookline.db.embedded import DataDirectoryInUse, EmbeddedPostgres
from hookline.errors import EmbeddedPostgresError
from support.embedded_owner import other_accounts, owner
from support.places import passable_folder
from support.postgres_clients import ask

ROOT = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not ROOT, reason="only root can become several users")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


def home_of(account: pwd.struct_passwd, place: Path) -> Path:
    """Return a home that only its user enters."""
    home = place / account.pw_name
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, account.pw_uid, account.pw_gid)
    return home


async def test_a_second_owner_is_refused_with_a_clear_sentence(place: Path) -> None:
    data_dir, system_dir = place / "data", place / "system_dir"
    async with owner(data_dir, system_dir) as first:
        second = EmbeddedPostgres(data_dir, system_dir=system_dir)
        with pytest.raises(DataDirectoryInUse) as refusal:
            await second.start()
        assert str(refusal.value) == (
            f"{data_dir} is in use by process {first.process.pid}, and only one Hookline may serve "
            "from a data directory. Stop that one first, or set HOOKLINE_DATA_DIR to a directory "
            "of this one's own. Several processes share a PostgreSQL of yours, which "
            "HOOKLINE_DATABASE_URL names; on one machine `hookline serve --processes N` needs none."
        )
        assert await ask(first.dsn, "select 1") == 1
        await first.stop()
    await second.start()
    await second.stop()


async def test_of_two_owners_that_start_at_once_one_is_refused(place: Path) -> None:
    data_dir, system_dir = place / "data", place / "system_dir"
    rivals = [EmbeddedPostgres(data_dir, system_dir=system_dir) for _ in range(3)]
    ended = await asyncio.gather(*(rival.start() for rival in rivals), return_exceptions=True)
    started = [result for result in ended if isinstance(result, str)]
    assert len(started) == 1
    assert sum(isinstance(result, DataDirectoryInUse) for result in ended) == 2
    for rival in rivals:
        await rival.stop()


@ONLY_ROOT
async def test_several_users_run_their_own_at_once(place: Path) -> None:
    accounts = list(other_accounts())[:2]
    assert len(accounts) == 2
    async with AsyncExitStack() as stack:
        owners = [await stack.enter_async_context(owner(place / "data", place / "system_dir"))]
        for account in accounts:
            data_dir = home_of(account, place) / "data"
            context = owner(data_dir, place / "system_dir", account=account)
            owners.append(await stack.enter_async_context(context))
            assert (data_dir / "postgres/data").stat().st_uid == account.pw_uid
        assert [await ask(each.dsn, "select 1") for each in owners] == [1, 1, 1]
        for each in owners:
            await each.stop()


@ONLY_ROOT
async def test_another_users_data_directory_is_refused(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    await postgres.start()
    await postgres.stop()
    account = next(other_accounts())
    async with owner(place / "data", place / "system_dir", account=account) as other:
        assert "Permission denied" in other.said["error"]
        assert "HOOKLINE_DATA_DIR" in other.said["error"]


@ONLY_ROOT
async def test_root_may_serve_from_a_users_directory_and_the_user_again_afterwards(
    place: Path,
) -> None:
    account = next(other_accounts())
    data_dir, system_dir = home_of(account, place) / "data", place / "system_dir"
    async with owner(data_dir, system_dir, account=account) as user:
        await ask(user.dsn, "create table if not exists shared as select 5 as answer")
        await user.stop()
    root = EmbeddedPostgres(data_dir, system_dir=system_dir)
    assert await ask(await root.start(), "select answer from shared") == 5
    await root.stop()
    async with owner(data_dir, system_dir, account=account) as user:
        assert await ask(user.dsn, "select answer from shared") == 5
        await user.stop()


@ONLY_ROOT
async def test_data_that_root_copied_back_gets_a_user_again(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    await postgres.start()
    await postgres.stop()
    for folder, _, files in os.walk(place / "data/postgres"):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.chown(path, 0, 0)
    assert await ask(await postgres.start(), "select 1") == 1
    await postgres.stop()


@ONLY_ROOT
async def test_other_users_reach_neither_the_socket_nor_the_password(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    dsn = await postgres.start()
    name = parse_qs(urlsplit(dsn).query)["host"][0] + "/.s.PGSQL.5432"
    account = next(other_accounts())
    os.seteuid(account.pw_uid)
    try:
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(PermissionError):
            client.connect(name)
        with pytest.raises(PermissionError):
            (place / "data/postgres/password").read_text()
    finally:
        os.seteuid(0)
    await postgres.stop()


async def test_a_user_without_the_right_to_write_is_told_so(place: Path) -> None:
    locked = place / "locked"
    locked.mkdir(mode=0o500)
    account = next(other_accounts()) if ROOT else None
    if account is not None:
        os.chown(locked, account.pw_uid, account.pw_gid)
    async with owner(locked / "data", place / "system_dir", account=account) as refused:
        assert refused.said["error"] == (
            f"The embedded Postgres cannot use {locked / 'data'}: Permission denied. Give this "
            "user the right to read and write there, or set HOOKLINE_DATA_DIR to another directory."
        )


def test_its_refusals_are_configuration_errors() -> None:
    assert issubclass(DataDirectoryInUse, EmbeddedPostgresError)
