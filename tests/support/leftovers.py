"""Ends what a killed test run leaves running, and removes its folders.

A run that ends in order ends what it started by itself. One that is killed can't, so a process of
its own waits for its end: every process that a run starts has the run's mark in its environment,
and every folder has it in its name. Processes are found where `/proc` shows their environment.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir

_MARK = "TEST_RUN"
_ENDED = b"in order"
MEMORY = Path("/dev/shm")  # noqa: S108 - folders of tests there are as private as elsewhere
_TRIES, _PAUSE = 100, 0.1  # a Postgres writes until its shutdown is through


def prefix(kind: str) -> str:
    """Return what the name of a folder of this run begins with."""
    return f"hookline-{kind}-{os.environ.get(_MARK, '')}-"


@contextmanager
def ended_with_the_run() -> Iterator[None]:
    """Mark what is started in the block, and have it ended if this process is killed."""
    os.environ[_MARK] = mark = secrets.token_hex(4)
    process = subprocess.Popen(
        [sys.executable, "-S", __file__, mark],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is not for it
    )
    try:
        yield
    finally:
        del os.environ[_MARK]
        process.communicate(_ENDED, timeout=30)


def _processes(mark: str) -> list[int]:
    """Return the ids of the run's processes that live."""
    wanted, found = f"{_MARK}={mark}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return [each for each in found if each != os.getpid()]


def _end(mark: str) -> None:
    """Kill until none is left that could start another."""
    while found := _processes(mark):
        for number in found:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    places = (Path(gettempdir()), MEMORY)
    for folder in (found for place in places for found in place.glob(f"hookline-*-{mark}-*")):
        for _ in range(_TRIES):
            rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(_PAUSE)


if __name__ == "__main__":
    if sys.stdin.buffer.read() != _ENDED:
        _end(sys.argv[1])
