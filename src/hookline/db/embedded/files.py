"""Small files and folders, made so that only the right user can read or replace them."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

from hookline.db.embedded.identity import Identity, is_root, owner_of
from hookline.errors import EmbeddedPostgresError

_ADVICE = {
    ENOSPC: "Free some space there",
    EDQUOT: "Free some space there, or have the quota raised",
    EROFS: "It is mounted read-only: mount it writable",
    EACCES: "Give this user the right to read and write there",
    EPERM: "Give this user the right to read and write there",
}


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence that says where, why and what to do."""
    try:
        yield
    except OSError as error:
        place = error.filename or directory
        advice = _ADVICE.get(error.errno or 0, "Put that right")
        raise EmbeddedPostgresError(
            f"The embedded Postgres cannot use {place}: {error.strerror or error}. "
            f"{advice}, or set HOOKLINE_DATA_DIR to another directory."
        ) from error


def open_private(path: Path, flags: int) -> int:
    """Open a file of mode 0600 that belongs to its folder's owner, never through a link.

    Root may serve from a user's directory once, and the user again afterwards.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    if is_root():
        owner = owner_of(path.parent)
        os.fchown(descriptor, owner.uid, owner.gid)
    return descriptor


def write(path: Path, text: str, *, mode: int) -> None:
    """Write a file whole or not at all, whatever happens to this process or machine."""
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = open_private(fresh, os.O_WRONLY | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path, owner: Identity, *, mode: int) -> None:
    """Make a folder, or leave it as it is where it exists."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    if is_root():
        os.chown(path, owner.uid, owner.gid)
    path.chmod(mode)


def hand_over(tree: Path, owner: Identity) -> None:
    """Give a folder and all in it to `owner` (only root can)."""
    for folder, _, files in os.walk(tree):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def remove_tree(tree: Path) -> None:
    """Remove a folder with all in it, if it exists."""
    if tree.exists():
        shutil.rmtree(tree)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
