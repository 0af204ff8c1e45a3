"""A disk that is soon full: a file system of its own in memory, which only root can mount."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import leftovers

_MEGABYTE = 1024 * 1024


class SmallDisk:
    """A mounted file system and the file that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free for the time of the block."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (_MEGABYTE, 4096):
                _fill(file.fileno(), bytes(size))
        try:
            yield
        finally:
            self._ballast.unlink()


def _fill(descriptor: int, block: bytes) -> None:
    try:
        while True:
            os.write(descriptor, block)
    except OSError:
        return  # there is no space left, as intended


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk | None]:
    """Mount one for the time of the block; None where this user may not."""
    folder = Path(tempfile.mkdtemp(prefix=leftovers.prefix("disk")))
    options = f"size={megabytes}m,mode=711"
    mount = ("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        mounted = None
    try:
        yield SmallDisk(folder) if mounted is not None and mounted.returncode == 0 else None
    finally:
        if mounted is not None and mounted.returncode == 0:
            subprocess.run(("umount", str(folder)), check=True, timeout=10)
        folder.rmdir()
