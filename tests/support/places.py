"""Folders for embedded servers under test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import leftovers

_ROOM = 8 * 2**30  # bytes; four servers of tests take a quarter of it


@contextmanager
def passable_folder(*, durable: bool = True) -> Iterator[Path]:
    """Give a fresh folder that every user may pass, and remove it afterwards.

    pytest's own folders shut other users out: root's Postgres could not live there. What need not
    be `durable` is kept in memory where there is plenty: databases are made and dropped by the
    hundred, of hundreds of files each, which took a third of what such tests take.
    """
    within = None if durable or not _has_room(leftovers.MEMORY) else leftovers.MEMORY
    folder = Path(tempfile.mkdtemp(prefix=leftovers.prefix("test"), dir=within))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _has_room(memory: Path) -> bool:
    """Whether it is there, and neither its own size nor the machine's memory is short."""
    try:
        figures = Path("/proc/meminfo").read_text()
        return min(shutil.disk_usage(memory).free, _available(figures)) >= _ROOM
    except OSError:
        return False


def _available(figures: str) -> int:
    """Return the bytes that the kernel would give to programs."""
    [line] = [each for each in figures.splitlines() if each.startswith("MemAvailable:")]
    return int(line.split()[1]) * 1024
