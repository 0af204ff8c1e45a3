import errno
import os
import pwd
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from hookline.db.embedded import EmbeddedPostgres, permissions, programs
from hookline.db.embedded.permissions import Identity, explained, write
from hookline.errors import EmbeddedPostgresError
from support.places import passable_folder
from support.postgres_clients import ask


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Path]:
    """Give a place with a cluster that was used and stopped."""
    with passable_folder() as folder:
        postgres = EmbeddedPostgres(folder / "data", system_dir=folder / "system_dir")
        await postgres.start()
        await postgres.stop()
        yield folder


@contextmanager
def damaged(file: Path, content: bytes | None) -> Iterator[None]:
    """Have another content in a file, or no file, until the block ends."""
    aside = file.with_name("aside")
    shutil.copy2(file, aside)
    if content is None:
        file.rename(aside)
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        if content is None:
            aside.rename(file)
        else:
            file.write_bytes(aside.read_bytes())
            aside.unlink()


async def refusal(place: Path, **settings: str) -> str:
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir", settings=settings)
    with pytest.raises(EmbeddedPostgresError) as refused:
        await postgres.start()
    return str(refused.value)


async def test_data_of_another_major_version_is_named_and_left_alone(place: Path) -> None:
    with damaged(place / "data/postgres/data/PG_VERSION", b"17\n"):
        said = await refusal(place)
    assert "was made by PostgreSQL 17, and the bundled server is PostgreSQL 18" in said
    assert "pg_upgrade" in said


async def test_a_directory_that_is_not_whole_is_left_alone(place: Path) -> None:
    with damaged(place / "data/postgres/data/global/pg_control", None):
        said = await refusal(place)
    assert "is not a whole Postgres data directory" in said
    assert "Restore it from a backup, or move it away" in said


async def test_damaged_data_is_reported_in_the_servers_words(place: Path) -> None:
    with damaged(place / "data/postgres/data/global/pg_control", bytes(8192)):
        said = await refusal(place)
    assert said.startswith("The embedded Postgres did not start: database files are incompatible")
    assert f"Its log is in {place / 'data/postgres/log'}." in said


async def test_a_lost_password_is_said_to_be_lost(place: Path) -> None:
    with damaged(place / "data/postgres/password", None):
        said = await refusal(place)
    assert "The database's password is gone" in said


async def test_a_setting_that_the_server_does_not_know_is_named(place: Path) -> None:
    assert "no_such_setting" in await refusal(place, no_such_setting="on")


async def test_a_refused_start_leaves_the_directory_free(place: Path) -> None:
    await refusal(place, max_connections="many")
    postgres = EmbeddedPostgres(place / "data", system_dir=place / "system_dir")
    assert await ask(await postgres.start(), "select 1") == 1
    await postgres.stop()


async def test_an_interrupted_first_start_is_begun_again() -> None:
    with passable_folder() as folder:
        leftovers = folder / "data/postgres/staging/data"
        leftovers.mkdir(parents=True)
        (leftovers / "PG_VERSION").write_text("18\n")
        for parent in (folder / "data", folder / "data/postgres"):
            parent.chmod(0o711)
        postgres = EmbeddedPostgres(folder / "data", system_dir=folder / "system_dir")
        with structlog.testing.capture_logs() as lines:
            assert await ask(await postgres.start(), "select 1") == 1
        assert "embedded_postgres.making" in {line["event"] for line in lines}
        assert not leftovers.exists()
        await postgres.stop()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device. Free some space there"),
        (errno.EROFS, "Read-only file system. It is mounted read-only: mount it writable"),
        (errno.EIO, "Input/output error. Put that right"),
    ],
)
def test_what_a_disk_refuses_is_said_with_the_place_and_the_cure(number: int, advice: str) -> None:
    with pytest.raises(EmbeddedPostgresError) as refused, explained(Path("/data")):
        raise OSError(number, os.strerror(number), "/data/postgres/lock")
    assert str(refused.value) == (
        f"The embedded Postgres cannot use /data/postgres/lock: {advice}, "
        "or set HOOKLINE_DATA_DIR to another directory."
    )


async def test_a_full_disk_is_said_in_a_sentence() -> None:
    me = Identity(os.geteuid(), os.getegid())
    script = 'echo "FATAL:  could not extend file: No space left on device"; exit 1'
    with pytest.raises(EmbeddedPostgresError) as refused:
        await programs.run(me, "/bin/sh", "-c", script, within_s=30)
    assert "sh failed: the disk is full. Free some space" in str(refused.value)


def test_a_machine_that_knows_root_alone_is_told_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permissions, "is_root", lambda: True)
    monkeypatch.setattr(pwd, "getpwall", list)
    with pytest.raises(EmbeddedPostgresError, match="knows root alone"):
        permissions.for_initdb(Identity(60710, 60710))


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_WHEEL", "no-such-wheel")
    with pytest.raises(EmbeddedPostgresError, match="no-such-wheel is not installed"):
        programs.installed()


def test_a_file_is_written_whole_with_its_mode_and_no_draft_is_left(tmp_path: Path) -> None:
    write(tmp_path / "password", "one\n", mode=0o600)
    write(tmp_path / "password", "two\n", mode=0o600)
    assert (tmp_path / "password").read_text() == "two\n"
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "password"]
