"""A service of one's own for a moment: free port, new database, thrown away afterwards."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hookline.errors import HooklineError
from hookline.security.keys import new_key
from hookline.settings import PREFIX

_START = 90.0  # seconds; a slow disk makes a new database cluster in 20
_STOP = 45.0  # seconds, above what the service takes for its own stop
_ADDRESS = re.compile(rb"(http://\S+)/v1").search


class DemoFailed(HooklineError):
    """The service that the demonstration is about did not do its part."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service answers, and an admin key for it."""

    url: str
    key: str = field(repr=False)


@asynccontextmanager
async def ephemeral_service(**variables: str) -> AsyncIterator[Service]:
    """Run `hookline serve` with these settings, and nothing of the surroundings' or of `.env`."""
    with TemporaryDirectory(prefix="hookline-demo-") as name:
        directory = _passable(Path(name))
        key = new_key()
        own = {"DATA_DIR": str(directory / "data"), "PORT": "0", "ADMIN_KEY": key, **variables}
        log = directory / "service.log"
        process = await _started(directory, _environment(own), log)
        try:
            yield Service(await _announced(process, log), key)
        finally:
            await _stop(process)


def _passable(directory: Path) -> Path:
    """Let others through: for root, another user runs the database."""
    directory.chmod(0o711)
    return directory


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
    return kept | {f"{PREFIX}{name}": value for name, value in own.items()}


async def _started(
    directory: Path, environment: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    errors = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "hookline", "serve"),
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is ours; the service is stopped by us
        )
    finally:
        os.close(errors)


async def _announced(process: asyncio.subprocess.Process, log: Path) -> str:
    """Wait for the line that tells the address."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        async with asyncio.timeout(_START):
            async for line in process.stdout:
                if found := _ADDRESS(line):
                    return found[1].decode()
    except TimeoutError as error:
        raise DemoFailed(f"The service did not start within {_START:g} seconds.") from error
    raise DemoFailed(f"The service did not start: {_last_words(log)}")


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing."


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
