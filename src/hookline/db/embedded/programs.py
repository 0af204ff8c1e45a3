"""Starts Postgres' programs as the right user, who ends with us."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from pathlib import Path

from hookline.db.embedded import launch
from hookline.db.embedded.identity import Identity
from hookline.errors import EmbeddedPostgresError

# No PG… variable and no loader's path of the service reaches a server.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


async def start(who: Identity, *command: str | Path, output: int) -> Process:
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


def _launcher(who: Identity) -> list[str]:
    script = str(Path(launch.__file__).absolute())
    return [sys.executable, "-I", "-S", script, str(who.uid), str(who.gid), str(os.getpid())]
