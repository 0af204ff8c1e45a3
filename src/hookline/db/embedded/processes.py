"""Starts Postgres' programs as the right user; finds and ends those that nobody owns any more."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from dataclasses import dataclass
from pathlib import Path

import psutil

from hookline.db.embedded import launch
from hookline.db.embedded.identity import Identity
from hookline.errors import EmbeddedPostgresError

# No PG… variable and no loader's path of the service reaches a server.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_FAST_SHUTDOWN_S = 20.0  # writes at most 128 MB of buffers
_QUICK_END_S = 5.0


@dataclass(frozen=True, slots=True)
class PidFile:
    """What a running server says of itself in postmaster.pid."""

    pid: int
    sockets: Path | None
    ready: bool


async def start(who: Identity, *command: str | Path, output: int = DEVNULL) -> Process:
    """Start a program as `who`; it ends when this process does. Output goes to a descriptor."""
    return await asyncio.create_subprocess_exec(
        *_launcher(who),
        *map(str, command),
        env=_ENVIRONMENT,
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
    )


async def run(who: Identity, *command: str | Path, text: str = "", within_s: float) -> None:
    """Run a program as `who` with `text` on its input; what it says becomes the error's."""
    process = await asyncio.create_subprocess_exec(
        *_launcher(who),
        *map(str, command),
        env=_ENVIRONMENT,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(within_s):
            said, _ = await process.communicate(text.encode())
    except TimeoutError:
        said = f"it was not done after {within_s:.0f} s".encode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-8:]
        raise EmbeddedPostgresError(f"Postgres' {Path(command[0]).name} failed: {' '.join(last)}")


def read_pid_file(data: Path) -> PidFile | None:
    """Return what postmaster.pid says, or None where there is none or it is not yet whole."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    if not lines[0].strip().isdigit():
        return None
    sockets = Path(lines[4]) if lines[4] else None
    return PidFile(int(lines[0]), sockets, lines[7].strip() == "ready")


def end_orphans(data: Path, server: Identity) -> int:
    """End every server process that works in `data`, and say how many; the caller owns `data`.

    Postgres never lets two servers into one directory, but an orphaned one would be in our way.
    """
    if not (data / "postmaster.pid").exists():  # the last server closed the door behind it
        return 0
    orphans = [process for process in psutil.process_iter() if _works_in(process, data, server)]
    left = orphans
    for number, grace_s in (
        (signal.SIGINT, _FAST_SHUTDOWN_S if _has_postmaster(orphans, data) else 0.0),
        (signal.SIGQUIT, _QUICK_END_S),
        (signal.SIGKILL, _QUICK_END_S),
    ):
        for process in left:
            if grace_s and (number != signal.SIGINT or _has_postmaster([process], data)):
                _send(process, number)
        _, left = psutil.wait_procs(left, timeout=grace_s)
        left = [process for process in left if _works_in(process, data, server)]  # no zombies
    if left:
        raise EmbeddedPostgresError(
            f"A former server (process {left[0].pid}) in {data} does not end. End it, or restart "
            "the machine, then start Hookline again."
        )
    _forget_reused_pid(data)
    return len(orphans)


def _launcher(who: Identity) -> list[str]:
    script = str(Path(launch.__file__).absolute())
    return [sys.executable, "-I", "-S", script, str(who.uid), str(who.gid), str(os.getpid())]


def _works_in(process: psutil.Process, data: Path, server: Identity) -> bool:
    try:
        if process.name() != "postgres" or process.uids().real != server.uid:
            return False
        # In a container root may not see where others work; an id of the cluster's own tells too.
        return server.dedicated or process.cwd() == str(data.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _has_postmaster(processes: list[psutil.Process], data: Path) -> bool:
    written = read_pid_file(data)
    return written is not None and any(process.pid == written.pid for process in processes)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _forget_reused_pid(data: Path) -> None:
    """Remove a stale pid file whose number another program has by now: Postgres would trust it."""
    written = read_pid_file(data)
    if written is not None and psutil.pid_exists(written.pid):
        (data / "postmaster.pid").unlink()
