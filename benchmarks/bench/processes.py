"""Starts the processes of a run, and ends them by their id, whatever happens."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.control import LONGEST_LINE
from hookline.errors import HooklineError
from hookline.settings import PREFIX

_BENCHMARKS = Path(__file__).parents[1]  # where helpers find this package
_START = 90.0  # seconds; a slow disk makes a new database cluster in 20
_STOP = 60.0  # seconds, above what the service takes for its own stop
_ORDER = 900.0  # seconds for one order: the longest fills a backlog
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)/v1").search


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
            raise BenchFailed(f"The {self.name} ended: {_last_words(self.log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def service(
    directory: Path, variables: Mapping[str, str], *arguments: str
) -> AsyncIterator[Service]:
    """Run `hookline serve` with these settings and nothing of the surroundings' or of `.env`."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
    own = {f"{PREFIX}{name}": value for name, value in variables.items()}
    log = directory / "service.log"
    async with running(
        (sys.executable, "-m", "hookline", "serve", *arguments), directory, log, kept | own
    ) as process:
        yield Service(process.pid, await _port(process, log))


@asynccontextmanager
async def helper(name: str, module: str, directory: Path) -> AsyncIterator[Helper]:
    """Run a module of this package that obeys orders."""
    log = directory / f"{name}.log"
    surroundings = os.environ | {"PYTHONPATH": str(_BENCHMARKS)}
    async with running(
        (sys.executable, "-m", f"bench.{module}"), directory, log, surroundings
    ) as process:
        yield Helper(name, process, log)


@asynccontextmanager
async def running(
    command: Sequence[str], directory: Path, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Process]:
    """Run a command while the block lasts; what it complains about goes to `log`."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is ours; these are ended by us
        )
    try:
        yield process
    finally:
        await _end(process)


async def _port(process: Process, log: Path) -> int:
    """Wait for the line that tells the address."""
    assert process.stdout is not None  # noqa: S101 - asked for at its start
    try:
        async with asyncio.timeout(_START):
            async for line in process.stdout:
                if found := _ADDRESS(line):
                    return int(found[1])
    except TimeoutError as error:
        raise BenchFailed(f"The service did not start within {_START:g} seconds.") from error
    raise BenchFailed(f"The service did not start: {_last_words(log)}")


async def _end(process: Process) -> None:
    """Ask, wait, and kill what does not end; also when we are told to hurry."""
    try:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
        raise


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing."
