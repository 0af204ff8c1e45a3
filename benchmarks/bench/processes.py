"""Starts the processes of a run, and ends them by their id, whatever happens."""

import asyncio
import compileall
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hookline
from hookline.errors import HooklineError
from hookline.server.processes import ServiceNotStarted, last_log_lines, running, running_service

_BENCHMARKS = Path(__file__).parents[1]  # where helpers find this package
_ORDER = 900.0  # seconds for one order: the longest fills a backlog


class BenchFailed(HooklineError):
    """A scenario could not be run; the sentence says which process did not do its part."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running `hookline serve`."""

    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Helper:
    """One of the benchmark's own processes."""

    name: str
    process: Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ask(self, what: str, **arguments: object) -> dict[str, Any]:
        """Give one order and wait for its answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - asked for at its start
        stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        async with asyncio.timeout(_ORDER):
            line = await stdout.readline()
        if not line:
            raise BenchFailed(f"The {self.name} ended: {last_log_lines(self.log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def service(
    directory: Path, variables: Mapping[str, str], *arguments: str
) -> AsyncIterator[Service]:
    """Run `hookline serve` with these settings and nothing of the surroundings' or of `.env`."""
    await asyncio.to_thread(_compile)
    async with AsyncExitStack() as stack:
        try:
            started = await stack.enter_async_context(
                running_service(directory, variables, *arguments)
            )
        except ServiceNotStarted as error:
            raise BenchFailed(str(error)) from error
        yield Service(started.pid, urlsplit(started.url).port or 80)


@cache
def _compile() -> None:
    """Have the bytecode on disk, as every installation does.

    Where the service compiles itself at its start instead, `quiet` took about a seventh more.
    """
    compileall.compile_dir(Path(hookline.__file__).parent, quiet=2)


@asynccontextmanager
async def helper(name: str, module: str, directory: Path) -> AsyncIterator[Helper]:
    """Run a module of this package that obeys orders."""
    log = directory / f"{name}.log"
    surroundings = os.environ | {"PYTHONPATH": str(_BENCHMARKS)}
    async with running(
        (sys.executable, "-m", f"bench.{module}"), directory, log, surroundings
    ) as process:
        yield Helper(name, process, log)
