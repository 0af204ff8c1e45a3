"""One owner for one data directory: a lock that the kernel drops with its holder, however it ends.

Only a process that holds it starts, stops or clears away a server. The lock file says who holds
it; what it says is true only while it is locked.
"""

import asyncio
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hookline.db.embedded.files import open_private
from hookline.errors import EmbeddedPostgresError

_PATIENCE_S = 20.0  # a passing command makes the cluster, at worst, and is gone
_LOOK_EVERY_S = 0.05


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another process owns the data directory."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: a service, or a passing command that is done in a moment."""

    pid: int
    passing: bool


class Ownership:
    """A held lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def take(cls, lock: Path, data_dir: Path, *, passing: bool) -> Self:
        """Take the lock, wait for a passing command to drop it, or raise DataDirectoryInUse.

        Waits for at most 20 s.
        """
        ownership = cls(open_private(lock, os.O_RDWR))
        try:
            await ownership._wait(lock, data_dir)
            ownership._sign(passing=passing)
        except BaseException:
            ownership.drop()
            raise
        return ownership

    def drop(self) -> None:
        """Let the next owner in."""
        os.close(self._descriptor)

    async def _wait(self, lock: Path, data_dir: Path) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while not _locked(self._descriptor):
            holder = read_holder(lock)
            waiting = asyncio.get_running_loop().time() < deadline
            if not (holder and holder.passing and waiting):
                raise DataDirectoryInUse(_refusal(data_dir, holder))
            await asyncio.sleep(_LOOK_EVERY_S)

    def _sign(self, *, passing: bool) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(
            self._descriptor, json.dumps({"pid": os.getpid(), "passing": passing}).encode(), 0
        )


def read_holder(lock: Path) -> Holder | None:
    """Return who wrote the lock file last; None where nobody did, or is just about to."""
    try:
        written = json.loads(lock.read_text())
        return Holder(int(written["pid"]), bool(written["passing"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refusal(data_dir: Path, holder: Holder | None) -> str:
    who = f"process {holder.pid}" if holder else "another process"
    return (
        f"{data_dir} is in use by {who}, and only one Hookline may serve from a data directory. "
        "Stop that one first, or set HOOKLINE_DATA_DIR to a directory of this one's own."
    )
