"""Processes of `hookline` that are forked from one that has imported it (`support.preloaded`)."""

import asyncio
import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import leftovers

_LONGEST_LINE = 16 * 1024 * 1024  # bytes


class ForkedProcess:
    """A forked process, as `asyncio.subprocess.Process` would be one."""

    def __init__(
        self,
        pid: int,
        connection: socket.socket,
        out: asyncio.StreamReader,
        err: asyncio.StreamReader,
    ) -> None:
        self.pid = pid
        self.stdout = out
        self.stderr = err
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._wait(connection), name=f"end of {pid}")

    async def wait(self) -> int:
        """Wait for its end and return the exit code, a signal's negative number."""
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Read what it prints and logs until its end."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _wait(self, connection: socket.socket) -> int:
        with connection:
            said = await asyncio.get_running_loop().sock_recv(connection, 16)
        assert said, f"nobody knows how process {self.pid} ended"
        self.returncode = int(said)
        return self.returncode


async def fork(
    arguments: Sequence[str], environment: Mapping[str, str], directory: Path
) -> ForkedProcess:
    """Run `hookline ARGUMENTS…` in a process forked from the one that has imported it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(0)  # asyncio waits
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, _preloaded())
    request = {
        "arguments": arguments,
        "environment": dict(environment),
        "directory": str(directory),
    }
    (output, for_output), (error, for_error) = os.pipe(), os.pipe()
    socket.send_fds(connection, [json.dumps(request).encode()], [for_output, for_error])
    os.close(for_output)
    os.close(for_error)
    pid = int(await loop.sock_recv(connection, 16))
    return ForkedProcess(pid, connection, await _reader(output), await _reader(error))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    return reader


@functools.cache
def _preloaded() -> str:
    """Start the process that forks, once for all tests of this one; return its socket's path."""
    folder = tempfile.mkdtemp(prefix=leftovers.prefix("forks"))
    path = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "support.preloaded", path],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        process.communicate(timeout=30)
        Path(path).unlink()
        Path(folder).rmdir()

    atexit.register(end)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return path
