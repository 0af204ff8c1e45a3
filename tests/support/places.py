"""Folders for embedded servers under test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import leftovers


@contextmanager
def passable_folder() -> Iterator[Path]:
    """Give a fresh folder that every user may pass, and remove it afterwards.

    pytest's own folders shut other users out: root's Postgres could not live there.
    """
    folder = Path(tempfile.mkdtemp(prefix=leftovers.prefix("test")))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
