"""A process that has imported `hookline` and forks itself for each command.

The imports take a second of processor time, and the tests start hundreds of services. A fork is a
process like any other: it has its own settings, folder and output, and dies by SIGKILL alone. What
a command imports, and what an interpreter does before, is for the tests of the command line.

`python -m support.preloaded SOCKET` listens there until its standard input ends. A request is a
JSON object {"arguments", "environment", "directory"} with two descriptors, standard output and
error; the answers are the process's id and, when it has ended, its exit code, a line each.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

_IMPORTED = (
    "hookline.cli.database",
    "hookline.cli.keys",
    "hookline.cli.serve",
    "hookline.app",
    "hookline.runtime",
    "hookline.metrics.multiprocess",
    "hookline.server.processes",
    "hookline.server.server",
    "hookline.server.signals",
    "hookline.settings",
)
_LONGEST = 65_536  # bytes of a request


def main() -> None:
    """Serve requests; return in each forked process, for which `hookline` is then run."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while 0 not in select.select([listener.fileno(), 0], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _report(connection)
                return
            connection.close()
    os._exit(0)


def _reap(*_: object) -> None:
    """Wait for those that report, so that their processor time counts as the tests' (`time`)."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _report(connection: socket.socket) -> None:
    """Fork the process that is asked for and say how it ends; return in that process."""
    request, descriptors, _, _ = socket.recv_fds(connection, _LONGEST, 2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        connection.close()
        _become(json.loads(request), *descriptors)
        return
    for descriptor in descriptors:
        os.close(descriptor)
    connection.send(b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    connection.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: dict[str, object], output: int, error: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, output, error)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(str(request["directory"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = [str(Path(sys.argv[0]).with_name("hookline")), *request["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    main()
    runpy.run_module("hookline", run_name="__main__", alter_sys=True)
