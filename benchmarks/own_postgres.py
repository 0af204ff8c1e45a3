"""A Postgres of a benchmark's own, migrated and thrown away afterwards."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hookline.db.embedded import EmbeddedPostgres
from hookline.db.migrate import migrate_at


@asynccontextmanager
async def own_postgres(**settings: str) -> AsyncIterator[str]:
    """Start the bundled Postgres in a temporary folder, with these settings; give its address."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - Postgres has a user of its own here
        home = Path(folder)
        server = EmbeddedPostgres(home / "data", system_dir=home / "system_dir", settings=settings)
        dsn = await server.start()
        try:
            await migrate_at(dsn)
            yield dsn
        finally:
            await server.stop()
