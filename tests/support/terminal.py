"""Runs `hookline` as people do: a process of its own, its output, its exit code."""

import asyncio
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from support.forks import ForkedProcess, fork

START = 60.0  # seconds; a new database cluster on a busy machine takes a few
# Tests ask nobody outside, and a service that reads all the authorities starts a tenth slower.
_NO_CERTIFICATES = {"SSL_CERT_FILE": os.devnull}


@dataclass
class Command:
    """A running `hookline …`, whose output is read as it comes."""

    process: asyncio.subprocess.Process | ForkedProcess
    said: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    async def says(self, pattern: str, within: float = START) -> re.Match[str]:
        """Wait until what it printed contains `pattern`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            while (found := re.search(pattern, self.said)) is None:
                line = await self.process.stdout.readline()
                assert line, f"it ended and said {self.said!r} {await self.errors()!r}"
                self.said += line.decode()
        return found

    async def complains(self, pattern: str, within: float = START) -> None:
        """Wait until it logs one line more that matches `pattern`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(within):
            while line := await self.process.stderr.readline():
                if re.search(pattern, line.decode()):
                    return
        raise AssertionError(f"it ended and never complained of {pattern}")

    async def ends(self, within: float = START) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(within):
            assert self.process.stdout is not None
            self.said += (await self.process.stdout.read()).decode()
            return await self.process.wait()

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return await self.ends()


class Terminal:
    """Runs commands in one directory with settings of their own; ends what is left of them."""

    def __init__(self, directory: Path, data: Path | None = None) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self._running: list[Command] = []

    async def start(self, *arguments: str, **settings: str) -> Command:
        """Start a command in a process that has imported most of it already."""
        environment = self._environment(settings)
        if "LD_PRELOAD" in environment:  # a fork has its libraries
            return await self.start_anew(*arguments, **settings)
        self._running.append(Command(await fork(arguments, environment, self.directory)))
        return self._running[-1]

    async def start_anew(self, *arguments: str, **settings: str) -> Command:
        """Start a command in an interpreter of its own, as people do: it takes a second more."""
        return await self.start_module("hookline", *arguments, **settings)

    async def start_module(self, *module: str, **settings: str) -> Command:
        """Start what `python -m` runs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *module),
            cwd=self.directory,
            env=self._environment(settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        self._running.append(Command(process))
        return self._running[-1]

    async def start_detached(self, *arguments: str, **settings: str) -> Command:
        """Start a command with its standard streams closed, as some supervisors do."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", 'exec "$0" -m hookline "$@" <&- >&- 2>&-', sys.executable, *arguments),
            cwd=self.directory,
            env=self._environment(settings),
        )
        self._running.append(Command(process))
        return self._running[-1]

    async def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """Run a command to its end; return the exit code and what it printed and complained."""
        return await _ended(await self.start(*arguments, **settings))

    async def run_anew(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """Do the same in an interpreter of its own."""
        return await _ended(await self.start_anew(*arguments, **settings))

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HOOKLINE_")}
        own = {"DATA_DIR": str(self.data), "PORT": "0", **settings}
        return kept | _NO_CERTIFICATES | {f"HOOKLINE_{name}": value for name, value in own.items()}

    async def close(self) -> None:
        for command in self._running:
            if command.process.returncode is None:
                command.process.terminate()
                async with asyncio.timeout(START):
                    await command.process.communicate()


async def _ended(command: Command) -> tuple[int, str, str]:
    async with asyncio.timeout(START):
        out, err = await command.process.communicate()
    return command.process.returncode or 0, out.decode(), err.decode()
