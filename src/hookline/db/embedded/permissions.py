"""Who runs the server, and the files and folders that only the right user can read or replace.

Postgres refuses to run as root. When we are root a system user runs it that nobody else is: a
numeric user id needs no entry in the system's user list (many machines have no tool to make one),
and each cluster gets one of its own.
"""

import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

import psutil

from hookline.errors import EmbeddedPostgresError

# systemd's table of user ids leaves these to no one, and they exist inside rootless containers,
# which have 65,536 ids in all (https://systemd.io/UIDS-GIDS).
_UNUSED_IDS = range(60706, 61184)
_ADVICE = {
    ENOSPC: "Free some space there",
    EDQUOT: "Free some space there, or have the quota raised",
    EROFS: "It is mounted read-only: mount it writable",
    EACCES: "Give this user the right to read and write there",
    EPERM: "Give this user the right to read and write there",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group, without supplementary groups."""

    uid: int
    gid: int

    def can_read(self, path: Path) -> bool:
        """Say whether this user passes every folder above `path` and may read it.

        Programs are installed with both bits or neither, so reading stands for running too.
        """
        try:
            real = path.resolve(strict=True)
            return self._allowed(real, stat.S_IROTH) and self.can_pass(real.parent)
        except OSError:
            return False

    def can_pass(self, directory: Path) -> bool:
        """Say whether this user may go through `directory` and every folder above it."""
        real = directory.resolve()
        return all(self._allowed(step, stat.S_IXOTH) for step in (real, *real.parents))

    @property
    def dedicated(self) -> bool:
        """Say whether this is a user of one cluster alone, so that all its processes are ours."""
        return self.uid in _UNUSED_IDS

    def _allowed(self, path: Path, bit: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            bit <<= 6
        elif status.st_gid == self.gid:
            bit <<= 3
        return bool(status.st_mode & bit)


def is_root() -> bool:
    """Say whether this process is root, and so has to run the server as somebody else."""
    return os.geteuid() == 0


def ourselves() -> Identity:
    """Return the identity of this process."""
    return Identity(os.geteuid(), os.getegid())


def owner_of(path: Path) -> Identity:
    """Return whom `path` belongs to."""
    status = path.stat()
    return Identity(status.st_uid, status.st_gid)


def unused() -> Identity:
    """Return a system identity that no account, no group and no process of this machine has."""
    taken = {process.info["uids"].real for process in psutil.process_iter(["uids"])}
    candidates = [uid for uid in _UNUSED_IDS if uid not in taken and not _listed(uid)]
    if not candidates:
        raise EmbeddedPostgresError(
            f"Every user id from {_UNUSED_IDS.start} to {_UNUSED_IDS.stop - 1} is in use, so root "
            "has no unprivileged user for the embedded Postgres. Start Hookline as another user."
        )
    uid = secrets.choice(candidates)
    return Identity(uid, uid)


def for_initdb(server: Identity) -> Identity:
    """Return the identity that makes the cluster of `server`.

    initdb, unlike the server, insists on a user that the system's list knows: root borrows one,
    for that second only, with the server's own group, through which alone the place is entered.
    """
    if not is_root() or _listed(server.uid):
        return server
    accounts = [account for account in pwd.getpwall() if account.pw_uid != 0]
    if not accounts:
        raise EmbeddedPostgresError(
            "This system's user list (/etc/passwd) knows root alone, and Postgres does not run as "
            "root. Add a user, or set HOOKLINE_DATABASE_URL to a Postgres of yours."
        )
    accounts.sort(key=lambda account: account.pw_name != "nobody")
    return Identity(accounts[0].pw_uid, server.gid)


def _listed(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


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
