"""Who owns a data directory, which processes of a server work in it, and the end of orphans.

One process owns a data directory: it holds a lock that the kernel drops with its holder, however it
ends, and it alone starts, stops or clears away a server. The lock file says who holds it; what it
says is true only while it is locked.

A process that was killed and that nobody has reaped yet does not live. Postgres itself never lets
two servers into one directory. An orphan, which a killed owner or a killed server left behind, is
stopped and not adopted: it runs with the settings of its time, and nobody would be told of its
death.
"""

import asyncio
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from hookline.db.embedded.permissions import Identity, open_private
from hookline.errors import EmbeddedPostgresError

_PATIENCE_S = 20.0  # a passing command makes the cluster, at worst, and is gone
_ASK_EVERY_S = 0.05
_FAST_SHUTDOWN_S = 20.0  # writes at most 128 MB of buffers
_QUICK_END_S = 5.0
_LOOK_EVERY_S = 0.02


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
            await asyncio.sleep(_ASK_EVERY_S)

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
        "Stop that one first, or set HOOKLINE_DATA_DIR to a directory of this one's own. Several "
        "processes share a PostgreSQL of yours, which HOOKLINE_DATABASE_URL names; on one machine "
        "`hookline serve --processes N` needs none."
    )


@dataclass(frozen=True, slots=True)
class PidFile:
    """The parts of postmaster.pid that others may rely on."""

    pid: int
    sockets: Path | None  # the folder, once it listens
    ready: bool  # accepts connections; true for ever where the server was killed


def pid_file(data: Path) -> Path:
    """Return where the file is; a server that stops in order removes it."""
    return data / "postmaster.pid"


def read_pid_file(data: Path) -> PidFile | None:
    """Return what the file says, or None where there is none or it is not yet whole."""
    try:
        lines = pid_file(data).read_text().splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    if not lines[0].strip().isdigit():
        return None
    sockets = Path(lines[4]) if lines[4] else None
    return PidFile(int(lines[0]), sockets, lines[7].strip() == "ready")


def lives(process: psutil.Process) -> bool:
    """Say whether a process still does anything; a zombie only waits for its parent to look."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def is_alive(pid: int) -> bool:
    """Say the same of whichever process has this number."""
    try:
        return lives(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def wait_until_dead(
    processes: Iterable[psutil.Process], *, within_s: float
) -> list[psutil.Process]:
    """Block until all are dead, and return those that are not in time.

    psutil.wait_procs waits for a zombie of another parent as if it lived.
    """
    deadline = time.monotonic() + within_s
    while (left := [each for each in processes if lives(each)]) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
    return left


def end_orphans(data: Path, server: Identity) -> int:
    """End every server process that works in `data`, and say how many; the caller owns `data`.

    Blocks for at most 30 s.
    """
    if not pid_file(data).exists():  # the last server ended in order
        return 0
    orphans = _working_in(data, server)
    left = _end_in_order(orphans, data)
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for process in left:
            _send(process, number)
        left = wait_until_dead(left, within_s=_QUICK_END_S)
        left = [process for process in left if _works_in(process, data, server)]
    if left:
        raise EmbeddedPostgresError(
            f"A former server (process {left[0].pid}) in {data} does not end. End it, or restart "
            "the machine, then start Hookline again."
        )
    _forget_reused_pid(data)
    return len(orphans)


def _end_in_order(orphans: list[psutil.Process], data: Path) -> list[psutil.Process]:
    """Have the postmaster, where it still lives, end the others; return who is left."""
    written = read_pid_file(data)
    for process in orphans:
        if written is not None and process.pid == written.pid:
            _send(process, signal.SIGINT)
            return wait_until_dead(orphans, within_s=_FAST_SHUTDOWN_S)
    return orphans


def _working_in(data: Path, server: Identity) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _works_in(process, data, server)]


def _works_in(process: psutil.Process, data: Path, server: Identity) -> bool:
    """Say whether a process is a server's, and alive: a zombie works nowhere."""
    try:
        if process.name() != "postgres" or not lives(process):
            return False
        return _place(process, data, server) == str(data.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _place(process: psutil.Process, data: Path, server: Identity) -> str | None:
    """Return the folder a process works in.

    In a container even root may not see that; there a user of this cluster alone tells it too.
    """
    try:
        return str(process.cwd())
    except psutil.AccessDenied:
        alone = server.dedicated and process.uids().real == server.uid
        return str(data.resolve()) if alone else None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _forget_reused_pid(data: Path) -> None:
    """Remove a stale pid file whose number is another's, or a zombie's: Postgres would trust it."""
    written = read_pid_file(data)
    if written is not None and psutil.pid_exists(written.pid):
        pid_file(data).unlink()
