"""Executes a program of Postgres: in its own session, unprivileged, ended with its owner.

Run as a script by a bare interpreter, `launch.py UID GID OWNER_PID PROGRAM [ARGUMENT…]`, because
what it does must happen between fork and exec, and a hook there is unsafe beside threads. The
session keeps a terminal's Ctrl-C from the server, which is to stop after the service. Imports
nothing of Hookline: it starts in 20 ms, also where the installed packages cannot be read.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def become(uid: int, gid: int) -> None:
    """Give up root for good; without root, stay who we are."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def end_with(owner_pid: int) -> None:
    """Ask the kernel for a fast shutdown of this process when its owner dies (Linux only).

    Asked after the change of user, which would clear it. The signal follows the owner's *thread*:
    whoever starts a server does so from the thread that runs its event loop.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != owner_pid:
            sys.exit("The process that was to own the server has ended.")


def main(arguments: list[str]) -> None:
    """Prepare this process, then turn into the program."""
    uid, gid, owner_pid = (int(number) for number in arguments[:3])
    program = arguments[3:]
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    try:
        become(uid, gid)
        end_with(owner_pid)
        os.execv(program[0], program)  # noqa: S606  # no shell is wanted: this turns into Postgres
    except OSError as error:
        sys.exit(f"{program[0]} does not start as user id {uid}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
