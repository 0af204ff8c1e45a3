"""Lets a passing command use a data directory's Postgres, whoever runs it, or nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hookline.db.embedded.files import explained
from hookline.db.embedded.home import SHELTER, find
from hookline.db.embedded.ownership import DataDirectoryInUse, read_holder
from hookline.db.embedded.pidfile import read_pid_file
from hookline.db.embedded.processes import is_alive
from hookline.db.embedded.supervisor import EmbeddedPostgres

_PATIENCE_S = 30.0  # a service that is just starting makes its cluster first
_LOOK_EVERY_S = 0.05


def running_dsn(data_dir: Path) -> str | None:
    """Return the DSN of the server that runs for `data_dir` now, or None where none does."""
    with explained(data_dir):
        home = find(data_dir)
        holder = read_holder(home.gate / "lock")
        server = read_pid_file(home.data)
        if holder is None or server is None or not server.ready or server.sockets is None:
            return None
        if not (is_alive(holder.pid) and is_alive(server.pid)):
            return None
        return home.dsn(server.sockets)


@asynccontextmanager
async def attach_or_start(data_dir: Path, *, shelter: Path = SHELTER) -> AsyncIterator[str]:
    """Yield the DSN of the running server, or of one of our own that lasts for this block.

    A service that starts meanwhile waits for the block to end.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while (dsn := running_dsn(data_dir)) is None:
        own = EmbeddedPostgres(data_dir, shelter=shelter, passing=True)
        try:
            dsn = await own.start()
        except DataDirectoryInUse:  # its owner is just starting it
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        try:
            yield dsn
        finally:
            await own.stop()
        return
    yield dsn
