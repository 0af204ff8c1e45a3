"""What stays in root's system_dir, and what the next start removes."""

import asyncio
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.db.embedded import EmbeddedPostgres
from hookline.db.embedded.cluster import remove_abandoned
from hookline.db.embedded.home import write_owner
from support.places import passable_folder
from support.postgres_clients import ask

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps clusters elsewhere")


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def system_dir(place: Path) -> Path:
    folder = place / "system_dir"
    folder.mkdir(mode=0o711)
    return folder


def a_cluster(system_dir: Path, data_dir: Path, name: str = "cluster-1") -> Path:
    """Make what a cluster of the system directory leaves; DATA_DIR exists afterwards."""
    cluster = system_dir / name
    (cluster / "data").mkdir(parents=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    write_owner(cluster, data_dir)
    return cluster


def test_a_cluster_goes_with_its_data_directory(place: Path, system_dir: Path) -> None:
    kept = a_cluster(system_dir, place / "here/data", "cluster-1")
    gone = a_cluster(system_dir, place / "gone/deep/data", "cluster-2")
    remove_abandoned(system_dir)
    assert gone.exists()
    shutil.rmtree(place / "gone")
    remove_abandoned(system_dir)
    assert (kept.exists(), gone.exists()) == (True, False)


@pytest.mark.parametrize("note", ["", "/nowhere/data\n", "/nowhere/data\n-1\n", "/nowhere\nx\n"])
def test_one_of_a_device_that_is_not_there_or_not_known_is_kept(
    place: Path, system_dir: Path, note: str
) -> None:
    cluster = a_cluster(system_dir, place / "data")
    (cluster / "belongs-to").write_text(note)
    remove_abandoned(system_dir)
    assert cluster.exists()
    (cluster / "belongs-to").unlink()
    remove_abandoned(system_dir)
    assert cluster.exists()


def test_an_old_note_without_a_device_is_enough_for_a_temporary_directory(
    place: Path, system_dir: Path
) -> None:
    kept = a_cluster(system_dir, place / "here/data", "cluster-1")
    gone = a_cluster(system_dir, place / "gone/data", "cluster-2")
    for cluster, data_dir in ((kept, "here/data"), (gone, "gone/data")):
        (cluster / "belongs-to").write_text(f"{place / data_dir}\n")
    shutil.rmtree(place / "gone")
    assert place.is_relative_to(tempfile.gettempdir())
    remove_abandoned(system_dir)
    assert (kept.exists(), gone.exists()) == (True, False)


def test_one_that_is_owned_or_whose_server_runs_is_kept(place: Path, system_dir: Path) -> None:
    owned = a_cluster(system_dir, place / "one", "cluster-1")
    running = a_cluster(system_dir, place / "two", "cluster-2")
    for each in ("one", "two"):
        (place / each).rmdir()
    (running / "data/postmaster.pid").write_text(f"{os.getpid()}\n")
    with (owned / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned(system_dir)
        assert owned.exists()
    assert running.exists()
    (running / "data/postmaster.pid").unlink()
    remove_abandoned(system_dir)
    assert not [*system_dir.iterdir()]


def test_a_sweep_ends_once_it_is_to_stop(place: Path, system_dir: Path) -> None:
    gone = a_cluster(system_dir, place / "gone", "cluster-1")
    (place / "gone").rmdir()
    stopping = threading.Event()
    stopping.set()
    remove_abandoned(system_dir, stopping)
    assert gone.exists()


@ONLY_ROOT
async def test_a_start_removes_what_was_left_and_knows_a_moved_directory_again(
    place: Path, system_dir: Path
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    abandoned = a_cluster(system_dir, closed / "deleted", "cluster-1")
    (closed / "deleted").rmdir()
    postgres = EmbeddedPostgres(closed / "before", system_dir=system_dir)
    await ask(await postgres.start(), "create table kept as select 3 as answer")
    async with asyncio.timeout(30):
        while abandoned.exists():  # noqa: ASYNC110 - a start does not wait for it, and tells nobody
            await asyncio.sleep(0.05)
    await postgres.stop()
    cluster = Path((closed / "before/postgres/sheltered-at").read_text().strip())
    (closed / "before").rename(closed / "after")
    postgres = EmbeddedPostgres(closed / "after", system_dir=system_dir)
    assert await ask(await postgres.start(), "select answer from kept") == 3
    await postgres.stop()
    remove_abandoned(system_dir)
    assert (cluster / "belongs-to").read_text().startswith(f"{closed / 'after'}\n")
