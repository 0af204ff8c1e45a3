"""Which processes live: one that was killed and that nobody has reaped yet does not."""

import time
from collections.abc import Iterable

import psutil

_LOOK_EVERY_S = 0.02


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
