"""What stays in root's shelter, and what the next start removes."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.db.embedded import EmbeddedPostgres
from hookline.db.embedded.cluster import remove_abandoned
from hookline.db.embedded.home import write_owner
from support.places import passable_folder
from support.postgres_clients import ask

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root shelters clusters")


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def shelter(place: Path) -> Path:
    folder = place / "shelter"
    folder.mkdir(mode=0o711)
    return folder


def a_cluster(shelter: Path, data_dir: Path, name: str = "cluster-1") -> Path:
    """Make what a sheltered cluster leaves; DATA_DIR exists afterwards."""
    cluster = shelter / name
    (cluster / "data").mkdir(parents=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    write_owner(cluster, data_dir)
    return cluster


def test_a_cluster_goes_with_its_data_directory(place: Path, shelter: Path) -> None:
    kept = a_cluster(shelter, place / "here/data", "cluster-1")
    gone = a_cluster(shelter, place / "gone/deep/data", "cluster-2")
    remove_abandoned(shelter)
    assert gone.exists()
    shutil.rmtree(place / "gone")
    remove_abandoned(shelter)
    assert (kept.exists(), gone.exists()) == (True, False)


@pytest.mark.parametrize("note", ["", "/nowhere/data\n", "/nowhere/data\n-1\n", "/nowhere\nx\n"])
def test_one_of_a_device_that_is_not_there_or_not_known_is_kept(
    place: Path, shelter: Path, note: str
) -> None:
    cluster = a_cluster(shelter, place / "data")
    (cluster / "belongs-to").write_text(note)
    remove_abandoned(shelter)
    assert cluster.exists()
    (cluster / "belongs-to").unlink()
    remove_abandoned(shelter)
    assert cluster.exists()


def test_an_old_note_without_a_device_is_enough_for_a_temporary_directory(
    place: Path, shelter: Path
) -> None:
    kept = a_cluster(shelter, place / "here/data", "cluster-1")
    gone = a_cluster(shelter, place / "gone/data", "cluster-2")
    for cluster, data_dir in ((kept, "here/data"), (gone, "gone/data")):
        (cluster / "belongs-to").write_text(f"{place / data_dir}\n")
    shutil.rmtree(place / "gone")
    assert place.is_relative_to(tempfile.gettempdir())
    remove_abandoned(shelter)
    assert (kept.exists(), gone.exists()) == (True, False)


def test_one_that_is_owned_or_whose_server_runs_is_kept(place: Path, shelter: Path) -> None:
    owned = a_cluster(shelter, place / "one", "cluster-1")
    running = a_cluster(shelter, place / "two", "cluster-2")
    for each in ("one", "two"):
        (place / each).rmdir()
    (running / "data/postmaster.pid").write_text(f"{os.getpid()}\n")
    with (owned / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned(shelter)
        assert owned.exists()
    assert running.exists()
    (running / "data/postmaster.pid").unlink()
    remove_abandoned(shelter)
    assert not [*shelter.iterdir()]


@ONLY_ROOT
async def test_a_start_removes_what_was_left_and_knows_a_moved_directory_again(
    place: Path, shelter: Path
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    abandoned = a_cluster(shelter, closed / "deleted", "cluster-1")
    (closed / "deleted").rmdir()
    postgres = EmbeddedPostgres(closed / "before", shelter=shelter)
    await ask(await postgres.start(), "create table kept as select 3 as answer")
    await postgres.stop()
    assert not abandoned.exists()
    cluster = Path((closed / "before/postgres/sheltered-at").read_text().strip())
    (closed / "before").rename(closed / "after")
    postgres = EmbeddedPostgres(closed / "after", shelter=shelter)
    assert await ask(await postgres.start(), "select answer from kept") == 3
    await postgres.stop()
    remove_abandoned(shelter)
    assert (cluster / "belongs-to").read_text().startswith(f"{closed / 'after'}\n")
